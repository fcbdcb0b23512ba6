import { createTransport } from "nodemailer";
import type { Outcome } from "../../mesh/events/saga.ts";
import { FAILURE } from "./notification.ts";
import type { Text } from "./templates.ts";

/** A mail, ready to be sent. */
export interface Mail extends Text {
  /** Goes into the Message-ID, by which a mail that comes twice can be known. */
  readonly id: string;
  readonly to: string;
}

/** Hands mails to the mail server. */
export interface Mailer {
  /** Resolves to what came of it; never rejects. A mail whose answer was lost may have been taken. */
  send(mail: Mail): Promise<Outcome>;
}

// Together they are shorter than a saga's lease, after which another instance would send the same mail.
const TIMEOUTS = {
  dnsTimeout: 2_000,
  connectionTimeout: 2_000,
  greetingTimeout: 2_000,
  socketTimeout: 3_000,
};

/** Opens the way to a mail server. A connection is made for each mail. */
export function openMailer({ smtpUrl, mailFrom }: { smtpUrl: string; mailFrom: string }): Mailer {
  const transport = createTransport({ url: smtpUrl, ...TIMEOUTS });
  return {
    async send({ id, to, subject, text }) {
      try {
        // The address stands for itself: it is never read as a list of several.
        const recipient = { name: "", address: to };
        const messageId = `<${id}@notification.weft>`;
        await transport.sendMail({ from: mailFrom, to: recipient, subject, text, messageId });
        return { kind: "done" };
      } catch (error) {
        return isRefusal(error)
          ? { kind: "refused", reason: FAILURE.mailRefused }
          : { kind: "unanswered", error };
      }
    },
  };
}

/** True if the server says that this mail, or its address, will never do. */
function isRefusal(error: unknown): boolean {
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
  const isOfMail = code === "EENVELOPE" || code === "EMESSAGE";
  return isOfMail && typeof responseCode === "number" && responseCode >= 500;
}
