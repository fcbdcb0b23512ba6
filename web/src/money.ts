import type { Money } from "../../gen/google/type/money_pb.ts";

/** An amount as a customer reads it, such as €12.99. */
export function formatMoney({ units, nanos, currencyCode }: Money): string {
  return formatCents(centsOf({ units, nanos }), currencyCode);
}

/** An amount in cents as a customer reads it. */
export function formatCents(cents: number, currencyCode: string): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency: currencyCode || "EUR" });
  return format.format(cents / 100);
}

/** An amount in cents. */
export function centsOf({ units, nanos }: Pick<Money, "units" | "nanos">): number {
  return Number(units) * 100 + Math.round(nanos / 10_000_000);
}
