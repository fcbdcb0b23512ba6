import { expect, test } from "vitest";
import { random } from "../../mesh/testing/random.ts";
import {
  dueKey,
  JWKS_MAX_AGE_MS,
  type KeyTimes,
  signingKey,
  TOKEN_LIFE_MS,
  usefulKeys,
} from "./key-schedule.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const START = new Date("2026-01-01T00:00:00Z");

const at = (ms: number) => new Date(START.getTime() + ms);
const key = (number: number, ms: number): KeyTimes => ({ number, signsFrom: at(ms) });

test("the very first key signs at once", () => {
  expect(dueKey([], START, DAY_MS)).toEqual(key(1, 0));
});

test("the next key is made 20 minutes ahead of its turn, and not before", () => {
  const keys = [key(1, 0)];
  expect(dueKey(keys, at(DAY_MS - 20 * MINUTE_MS - 1), DAY_MS)).toBeUndefined();
  expect(dueKey(keys, at(DAY_MS - 20 * MINUTE_MS), DAY_MS)).toEqual(key(2, DAY_MS));
});

test("a key that is made late still waits until it is known", () => {
  const late = 3 * DAY_MS;
  expect(dueKey([key(1, 0)], at(late), DAY_MS)).toEqual(key(2, late + 10 * MINUTE_MS));
});

test("the old key signs until the new one may", () => {
  const keys = [key(1, 0), key(2, DAY_MS)];
  expect(signingKey(keys, at(DAY_MS - 1))?.number).toBe(1);
  expect(signingKey(keys, at(DAY_MS))?.number).toBe(2);
});

test("an instance whose clock is behind signs with the first key too", () => {
  expect(signingKey([key(1, 0)], at(-1_000))?.number).toBe(1);
  expect(signingKey([], START)).toBeUndefined();
});

test("a key is useful until the last token that it signed has ended", () => {
  const keys = [key(1, 0), key(2, DAY_MS)];
  const numbers = (ms: number) => usefulKeys(keys, at(ms)).map(({ number }) => number);
  expect(numbers(DAY_MS - 1)).toEqual([1, 2]);
  expect(numbers(DAY_MS + TOKEN_LIFE_MS)).toEqual([1, 2]);
  expect(numbers(DAY_MS + TOKEN_LIFE_MS + 10 * MINUTE_MS)).toEqual([2]);
});

test("whenever anybody comes, every good token can be checked, with keys that were read up to 5 minutes ago", () => {
  const faults: string[] = [];
  for (let seed = 1; seed <= 200; seed++) {
    const chance = random(seed);
    const rotationMs = chance.pick([1, 2, 24]) * 60 * MINUTE_MS;
    const keys: KeyTimes[] = [];
    const tokens: { readonly number: number; readonly endsMs: number }[] = [];
    const reads: { readonly atMs: number; readonly numbers: readonly number[] }[] = [];
    let nowMs = 0;
    for (let visit = 0; visit < 200; visit++) {
      nowMs += chance.below(chance.chance(0.1) ? 2 * rotationMs : 20 * MINUTE_MS);
      const now = at(nowMs);
      const due = dueKey(keys, now, rotationMs);
      if (due) keys.push(due);
      if (due && dueKey(keys, now, rotationMs)) faults.push(`seed ${seed}: two keys are due at once`);
      const signer = signingKey(keys, now)?.number;
      if (signer === undefined) throw new Error("no key signs");
      tokens.push({ number: signer, endsMs: nowMs + TOKEN_LIFE_MS });
      reads.push({ atMs: nowMs, numbers: usefulKeys(keys, now).map(({ number }) => number) });
      const fresh = reads.filter(({ atMs }) => atMs >= nowMs - JWKS_MAX_AGE_MS);
      for (const { number } of tokens.filter(({ endsMs }) => endsMs > nowMs)) {
        const isKnown = fresh.every((read) => read.numbers.includes(number));
        if (!isKnown) faults.push(`seed ${seed}: key ${number} is unknown after ${nowMs} ms`);
      }
    }
    expect(keys.length).toBeGreaterThan(1);
  }
  expect(faults).toEqual([]);
});
