import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { watchProgress } from "./watch-progress.ts";

function watched() {
  const clock = manualClock();
  const peer: { progress: number | undefined } = { progress: undefined };
  let stalls = 0;
  const stop = watchProgress(clock, 1_000, [{ progress: () => peer.progress, onStall: () => stalls++ }]);
  return { clock, peer, stop, stalls: () => stalls };
}

test("who stands still from one look to the next is found", () => {
  const { clock, peer, stalls } = watched();
  peer.progress = 7;
  clock.advance(1_000);
  expect(stalls()).toBe(0);
  clock.advance(999);
  expect(stalls()).toBe(0);
  clock.advance(1);
  expect(stalls()).toBe(1);
});

test("who gets on, however little, or has nothing to do, is let be", () => {
  const { clock, peer, stalls } = watched();
  for (const progress of [1, 2, undefined, undefined, 2, 3]) {
    peer.progress = progress;
    clock.advance(1_000);
  }
  expect(stalls()).toBe(0);
});

test("after its end nobody looks any more", async () => {
  const { clock, peer, stop, stalls } = watched();
  peer.progress = 1;
  clock.advance(1_000);
  stop();
  clock.advance(10_000);
  expect(stalls()).toBe(0);
  await clock.whenSleeping(0);
});

test("what one watch ends, the others do not see", () => {
  const clock = manualClock();
  const seen: string[] = [];
  const standing = (name: string) => ({
    progress: () => 1,
    onStall: () => {
      seen.push(name);
      stop();
    },
  });
  const stop = watchProgress(clock, 10, [standing("first"), standing("second")]);
  clock.advance(10);
  clock.advance(10);
  clock.advance(10);
  expect(seen).toEqual(["first"]);
});
