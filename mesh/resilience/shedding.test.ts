import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { shedding } from "./shedding.ts";

/** What a server knows of its refusals; chance is what the test says. */
function shed(chance = 0.5) {
  const clock = manualClock();
  const episode = shedding(clock, () => chance);
  function notes(count: number, everyMs: number): void {
    for (let n = 0; n < count; n++) {
      clock.advance(everyMs);
      episode.note();
    }
  }
  return { clock, episode, notes };
}

describe("an episode", () => {
  test("has not begun before the first refusal", () => {
    const { clock, episode } = shed();
    expect(episode.lastsMs()).toBe(0);
    clock.advance(3_600_000);
    expect(episode.lastsMs()).toBe(0);
  });

  test("lasts since its first refusal", () => {
    const { clock, episode, notes } = shed();
    notes(1, 5_000);
    expect(episode.lastsMs()).toBe(0);
    notes(4, 1_000);
    expect(episode.lastsMs()).toBe(4_000);
    clock.advance(1_000);
    expect(episode.lastsMs()).toBe(5_000);
  });

  test("is over after more than a second without a refusal; the next one begins anew", () => {
    const { clock, episode, notes } = shed();
    notes(5, 1_000);
    clock.advance(1_001);
    expect(episode.lastsMs()).toBe(0);
    episode.note();
    clock.advance(500);
    expect(episode.lastsMs()).toBe(500);
  });
});

describe("the pushback", () => {
  test.each([
    [0, 0, 25],
    [50, 0, 25],
    [50, 0.5, 50],
    [50, 1 - 2 ** -53, 75],
    [800, 0, 400],
    [800, 1 - 2 ** -53, 1_200],
    [2_000, 0.5, 2_000],
    [1e9, 0, 1_000],
    [1e9, 1 - 2 ** -53, 3_000],
  ])("for a delay of %i ms and a chance of %d is %i ms", (delayMs, chance, expected) => {
    expect(shed(chance).episode.pushbackMs(delayMs)).toBe(expected);
  });

  test("is a whole number: that is all the header holds", () => {
    expect(shed(1 / 3).episode.pushbackMs(77.7)).toBe(65);
  });

  test("is -1 once an episode has lasted for more than ten seconds, until it is over", () => {
    const { clock, episode, notes } = shed();
    notes(11, 1_000);
    expect(episode.lastsMs()).toBe(10_000);
    expect(episode.pushbackMs(100)).toBe(100);
    clock.advance(1);
    expect(episode.pushbackMs(100)).toBe(-1);
    clock.advance(999);
    expect(episode.pushbackMs(100)).toBe(-1);
    clock.advance(1);
    expect(episode.pushbackMs(100)).toBe(100);
  });
});
