import { expect, test } from "vitest";
import { manualClock } from "../../testing/clock.ts";
import { recordingLog } from "../../testing/log.ts";
import { logCutOffs } from "./log-cut-offs.ts";

test("one line a second for each guard; the next one says how many were left out", () => {
  const clock = manualClock();
  const { log, lines } = recordingLog();
  const cutOff = logCutOffs(log, clock);
  for (let i = 0; i < 5; i++) cutOff("RESETS");
  cutOff("PINGS");
  clock.advance(999);
  cutOff("RESETS");
  clock.advance(1);
  cutOff("RESETS");
  expect(lines.map(({ level, msg, guard, leftOut }) => ({ level, msg, guard, leftOut }))).toEqual([
    { level: 40, msg: "a connection was cut off", guard: "RESETS", leftOut: undefined },
    { level: 40, msg: "a connection was cut off", guard: "PINGS", leftOut: undefined },
    { level: 40, msg: "a connection was cut off", guard: "RESETS", leftOut: 5 },
  ]);
});
