import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { expect, onTestFinished, test } from "vitest";
import { type MailSinkOptions, startMailSink } from "./mail-sink.ts";
import { tempDir } from "./temp-dir.ts";

async function sink(options: Partial<MailSinkOptions> = {}) {
  const file = join(tempDir(), "mails.jsonl");
  const started = await startMailSink({ smtpPort: 0, pagePort: 0, file, ...options });
  const transport = createTransport({ url: started.smtpUrl, pool: true });
  onTestFinished(async () => {
    transport.close();
    await started.stop();
  });
  return { ...started, file, transport };
}

const MAIL = {
  from: "Shop <shop@example.com>",
  to: "ada@example.com",
  subject: "<b>Hello</b>",
  text: "Dear Äda & all",
};

test("a mail is shown on the page, as JSON, and in the file", async () => {
  const { transport, mails, pageUrl, file } = await sink();
  await transport.sendMail({ ...MAIL, messageId: "<1@example.com>" });
  const expected = {
    to: ["ada@example.com"],
    subject: "<b>Hello</b>",
    text: "Dear Äda & all\n",
    messageId: "<1@example.com>",
  };
  expect(mails).toMatchObject([expected]);
  expect(await (await fetch(`${pageUrl}/mails`)).json()).toMatchObject([expected]);
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject(expected);
  const page = await (await fetch(pageUrl)).text();
  expect(page).toContain("&#60;b&#62;Hello");
  expect(page).toContain("Dear Äda &#38; all");
});

test("it keeps the last 200 mails", async () => {
  const { transport, mails } = await sink();
  for (let n = 1; n <= 203; n++) await transport.sendMail({ ...MAIL, subject: `mail ${n}` });
  expect(mails).toHaveLength(200);
  expect([mails[0]?.subject, mails.at(-1)?.subject]).toEqual(["mail 4", "mail 203"]);
});

test("it refuses an address as it is told to", async () => {
  const refuses = () => Object.assign(new Error("no such mailbox"), { responseCode: 550 });
  const { transport, mails } = await sink({ refuses });
  await expect(transport.sendMail(MAIL)).rejects.toThrow("no such mailbox");
  expect(mails).toEqual([]);
});

test("a port that is taken is an error, and nothing is left open", async () => {
  const { pageUrl } = await sink();
  const pagePort = Number(new URL(pageUrl).port);
  const file = join(tempDir(), "mails.jsonl");
  await expect(startMailSink({ smtpPort: 0, pagePort, file })).rejects.toThrow("EADDRINUSE");
});
