import type { Data, TemplateName } from "./notification.ts";

/** A mail without its addresses. */
export interface Text {
  readonly subject: string;
  readonly text: string;
}

interface Template {
  /** The names of the data without which it says nothing. */
  readonly needs: readonly string[];
  readonly write: (value: (name: string) => string) => Text;
}

const TEMPLATES: Readonly<Record<TemplateName, Template>> = {
  WELCOME: {
    needs: [],
    write: () => ({ subject: "Welcome", text: "It is good to have you here. Enjoy the shop!" }),
  },
  ORDER_CONFIRMED: {
    needs: ["order_id", "total"],
    write: (value) => ({
      subject: "Your order is confirmed",
      text: `Your order ${value("order_id")} over ${value("total")} is paid, and will be on its way to you soon.`,
    }),
  },
  ORDER_REJECTED: {
    needs: ["order_id", "reason"],
    write: (value) => ({
      subject: "Your order could not be fulfilled",
      text: `We are sorry: your order ${value("order_id")} could not be fulfilled (${value("reason")}). You were not charged.`,
    }),
  },
  ORDER_CANCELLED: {
    needs: ["order_id"],
    write: (value) => ({
      subject: "Your order is cancelled",
      text: `Your order ${value("order_id")} is cancelled, as you asked. You were not charged.`,
    }),
  },
  PAYMENT_REFUNDED: {
    needs: ["order_id", "amount"],
    write: (value) => ({
      subject: "Your money is on its way back",
      text: `We have paid ${value("amount")} of your order ${value("order_id")} back to you.`,
    }),
  },
};

/** The names of the data that a template needs and does not have. */
export function missingData(template: TemplateName, data: Data): string[] {
  return TEMPLATES[template].needs.filter((name) => !data[name]);
}

/** Writes a mail to a customer of this name. */
export function writeMail(template: TemplateName, displayName: string, data: Data): Text {
  const { subject, text } = TEMPLATES[template].write((name) => data[name] ?? "");
  return { subject, text: `Dear ${displayName},\n\n${text}\n` };
}
