/** An amount as `google.type.Money` carries it: whole units, and billionths of a unit with the same sign. */
export interface MoneyParts {
  readonly currencyCode: string;
  readonly units: bigint;
  readonly nanos: number;
}

const NANOS_PER_CENT = 10_000_000;

/** The amount in cents. Throws a RangeError if it has parts of a cent: the contracts refuse these before. */
export function toCents({ units, nanos }: MoneyParts): number {
  const cents = Number(units) * 100 + nanos / NANOS_PER_CENT;
  // Asked of the nanos too: next to very many units a part of a cent is lost in the sum.
  if (nanos % NANOS_PER_CENT !== 0 || !Number.isSafeInteger(cents))
    throw new RangeError(`${units} units and ${nanos} nanos are not whole cents`);
  return cents;
}

/** Cents of EUR, the shop's one currency. */
export function euro(cents: number): MoneyParts {
  return {
    currencyCode: "EUR",
    units: BigInt(Math.trunc(cents / 100)),
    nanos: (cents % 100) * NANOS_PER_CENT,
  };
}
