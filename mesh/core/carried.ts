/**
 * What callers give a request to take along wherever it goes, through calls and events: whose it is, and baggage. The
 * mesh does not read it. Nothing else of a caller's is passed on.
 */
export interface Carried {
  /** Whose request it is, in a system of several tenants. */
  readonly tenant?: string;
  /** A list of members, as W3C Baggage writes it. */
  readonly baggage?: string;
}

const TENANT = /^[\x21-\x7e]{1,128}$/;
// Room for the rest: many take 8 KiB of headers in all, and each event of the request keeps it.
const MOST_BAGGAGE = 2_048;
const BAGGAGE = /^[\x20-\x7e]+$/;

/** Reads what a call or a message carries; undefined if that is nothing. What is malformed or too long is left behind. */
export function readCarried(header: (name: string) => string | null | undefined): Carried | undefined {
  const [tenant, baggage] = [header("tenant"), header("baggage")];
  if (!tenant && !baggage) return undefined;
  const carried = {
    ...(tenant && TENANT.test(tenant) && { tenant }),
    ...(baggage && baggage.length <= MOST_BAGGAGE && BAGGAGE.test(baggage) && { baggage }),
  };
  return Object.keys(carried).length > 0 ? carried : undefined;
}
