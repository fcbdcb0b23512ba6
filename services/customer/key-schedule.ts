/** When a signing key takes over from the one before. */
export interface KeyTimes {
  /** Counted from 1. */
  readonly number: number;
  readonly signsFrom: Date;
}

const MINUTE_MS = 60_000;

/** How long a token is good. */
export const TOKEN_LIFE_MS = 60 * MINUTE_MS;
/** How long others may keep the published keys before they look again. */
export const JWKS_MAX_AGE_MS = 5 * MINUTE_MS;

/** How long before it signs a key is published: all who keep the published keys have looked again by then. */
export const MIN_AHEAD_MS = 10 * MINUTE_MS;
// When the next key is made; it need not be on time, because the old one signs on until the new one may.
const MADE_AHEAD_MS = 20 * MINUTE_MS;
// How far the clocks of two instances may differ.
const CLOCK_SKEW_MS = 5 * MINUTE_MS;

/** The key to make now, if it is time to make one. The very first signs at once. Keys come in the order of their numbers. */
export function dueKey(keys: readonly KeyTimes[], now: Date, rotationMs: number): KeyTimes | undefined {
  const newest = keys.at(-1);
  if (!newest) return { number: 1, signsFrom: now };
  const turnMs = newest.signsFrom.getTime() + rotationMs;
  if (now.getTime() < turnMs - MADE_AHEAD_MS) return undefined;
  const signsFrom = new Date(Math.max(turnMs, now.getTime() + MIN_AHEAD_MS));
  return { number: newest.number + 1, signsFrom };
}

/** The key that signs now. Undefined only if there is no key. */
export function signingKey<K extends KeyTimes>(keys: readonly K[], now: Date): K | undefined {
  // The first may begin a moment from now, on the clock of the instance that made it.
  return keys.findLast(({ signsFrom }) => signsFrom <= now) ?? keys[0];
}

/** The keys that a token may be signed with that is still good, or will be. */
export function usefulKeys<K extends KeyTimes>(keys: readonly K[], now: Date): K[] {
  return keys.filter((_, i) => {
    const successor = keys[i + 1];
    if (!successor) return true;
    return now.getTime() < successor.signsFrom.getTime() + TOKEN_LIFE_MS + CLOCK_SKEW_MS;
  });
}
