import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { systemClock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import { transaction } from "../store/transaction.ts";
import { manualClock } from "../testing/clock.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { toys } from "../testing/toys.ts";
import { until } from "../testing/until.ts";
import { advance } from "./gate.ts";
import { type ReplicaWait, untilReplicaHas } from "./replica.ts";

const { sql } = await meshDatabase();

/** A replica of toys, which hears of them when the test says so. */
function replica() {
  const { service, subscription, consumer, stream } = toys();
  const place = (key: string, seq: number) => ({ consumer, stream, key, seq });
  return {
    hears: (key: string, seq: number) => transaction(sql, (tx) => advance(tx, place(key, seq))),
    has: (key: string, version: number, options: Partial<ReplicaWait> = {}) =>
      untilReplicaHas({ service, subscription, key, version }, { sql, ...options }),
  };
}

test("a version that is known is there at once, and none is asked for nothing", async () => {
  const { hears, has } = replica();
  await hears("a", 1);
  await hears("a", 2);
  const clock = manualClock();
  await has("a", 1, { clock });
  await has("a", 2, { clock });
  await has("unheard", 0, { clock });
});

test("a version that comes in time is waited for", async () => {
  const { hears, has } = replica();
  await hears("a", 1);
  let looks = 0;
  const clock = {
    ...systemClock,
    now: () => 0,
    sleep: async () => {
      looks++;
      if (looks === 3) await hears("a", 2);
    },
  };
  await has("a", 2, { clock });
  expect(looks).toBe(3);
});

test("a version that does not come in time is refused with what is known, and when to ask again", async () => {
  const { hears, has } = replica();
  await hears("a", 1);
  const clock = manualClock();
  const refused = has("a", 3, { clock }).catch((error: unknown) => error);
  await until(async () => {
    clock.advance(50);
    return clock.now() >= 500;
  });
  const error = await refused;
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({
    code: Code.FailedPrecondition,
    reason: "REPLICA_BEHIND",
    metadata: { version: "1" },
    retryDelayMs: 500,
  });
});

test("who leaves does not wait on", async () => {
  const { has } = replica();
  const left = new AbortController();
  left.abort();
  await expect(has("a", 1, { clock: manualClock(), signal: left.signal })).rejects.toThrow("not 1 yet");
});
