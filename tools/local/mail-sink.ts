import { createServer, type Server } from "node:http";
import type { AddressInfo, Server as NetServer } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";
import { openLogFile } from "./log-file.ts";

/** A mail as the sink has taken it. */
export interface SunkMail {
  readonly to: readonly string[];
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly messageId: string;
  readonly time: string;
}

/** A mail server that delivers nothing: it shows what it was given. */
export interface MailSink {
  /** For `SMTP_URL`. */
  readonly smtpUrl: string;
  /** The page of the mails; `/mails` below it is the same as JSON. */
  readonly pageUrl: string;
  /** The last mails, oldest first. */
  readonly mails: readonly SunkMail[];
  stop(): Promise<void>;
}

export interface MailSinkOptions {
  /** Of 127.0.0.1. 0 takes any that is free. */
  readonly smtpPort: number;
  /** Of 127.0.0.1. 0 takes any that is free. */
  readonly pagePort: number;
  /** Every mail is written here, a line of JSON each. */
  readonly file: string;
  /** Answers an address in the mail server's place: an error with a `responseCode` refuses it. Defaults to taking all. */
  readonly refuses?: (address: string) => Error | undefined;
}

const HOST = "127.0.0.1";
const KEPT = 200;
const MAX_MAIL_BYTES = 2 ** 20;

/** Starts a mail server for development, on 127.0.0.1 only and without a password. */
export async function startMailSink(options: MailSinkOptions): Promise<MailSink> {
  const { smtpPort, pagePort, refuses = () => undefined } = options;
  const mails: SunkMail[] = [];
  const file = openLogFile(options.file);
  const smtp = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    size: MAX_MAIL_BYTES,
    disableReverseLookup: true,
    onRcptTo: ({ address }, _session, done) => done(refuses(address)),
    onData(stream, session, done) {
      const to = session.envelope.rcptTo.map(({ address }) => address);
      simpleParser(stream)
        .then((parsed) => {
          const mail = sunk(parsed, to);
          mails.push(mail);
          if (mails.length > KEPT) mails.shift();
          file.write(JSON.stringify(mail));
          done();
        })
        .catch(done);
    },
  });
  // A client that hangs up is no trouble of ours.
  smtp.on("error", () => {});
  const page = createServer((request, response) => {
    const isJson = request.url === "/mails";
    response.setHeader("content-type", isJson ? "application/json" : "text/html; charset=utf-8");
    response.end(isJson ? JSON.stringify(mails) : pageOf(mails));
  });
  try {
    await listening(smtp.server, () => smtp.listen(smtpPort, HOST));
    await listening(page, () => page.listen(pagePort, HOST));
  } catch (error) {
    await close();
    throw error;
  }

  async function close(): Promise<void> {
    const ended = Promise.withResolvers<void>();
    smtp.close(() => ended.resolve());
    page.closeAllConnections();
    await Promise.all([ended.promise, new Promise((resolve) => page.close(resolve))]);
    file.close();
  }

  let closed: Promise<void> | undefined;
  return {
    smtpUrl: `smtp://${HOST}:${portOf(smtp.server)}`,
    pageUrl: `http://${HOST}:${portOf(page)}`,
    mails,
    stop() {
      closed ??= close();
      return closed;
    },
  };
}

function listening(server: NetServer | Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    listen();
  });
}

function portOf(server: NetServer | Server): number {
  return (server.address() as AddressInfo).port;
}

function sunk({ from, subject, text, messageId, date }: ParsedMail, to: readonly string[]): SunkMail {
  return {
    to,
    from: from?.text ?? "",
    subject: subject ?? "",
    text: text ?? "",
    messageId: messageId ?? "",
    time: (date ?? new Date()).toISOString(),
  };
}

function pageOf(mails: readonly SunkMail[]): string {
  const entries = [...mails].reverse().map(
    ({ to, subject, text, time }) => `
<article><h2>${escaped(subject)}</h2><p>to ${escaped(to.join(", "))}, ${escaped(time)}</p><pre>${escaped(text)}</pre></article>`,
  );
  return `<!doctype html><html lang="en"><title>Mails</title><h1>${mails.length} mails</h1>${entries.join("")}</html>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
