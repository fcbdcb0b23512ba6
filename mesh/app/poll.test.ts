import { expect, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { poll } from "./poll.ts";

test("what was read last stays when a reading fails, and grows older", async () => {
  const clock = manualClock();
  const { log, lines } = recordingLog();
  const answers = [async () => 1, () => Promise.reject(new Error("away")), async () => 3];
  const read = () => answers.shift()?.() ?? Promise.reject(new Error("asked too often"));
  const polled = poll({ what: "it", read, everyMs: 100, log, clock });
  atEnd(() => polled.stop());
  expect(polled.last()).toBeUndefined();
  await clock.whenSleeping(1);
  clock.advance(100);
  await clock.whenSleeping(1);
  expect(polled.last()).toEqual({ value: 1, agoMs: 100 });
  expect(lines).toMatchObject([{ error: "away", msg: "could not measure it" }]);
  clock.advance(100);
  await clock.whenSleeping(1);
  expect(polled.last()).toEqual({ value: 3, agoMs: 0 });
  await polled.stop();
  clock.advance(100);
  expect(lines).toHaveLength(1);
});
