import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { openBucket, readBucket } from "./bucket.ts";
import { cleanUp } from "./clean.ts";

const broker = await testBroker();
const never = new AbortController().signal;

async function cleaning() {
  const nats = openNats({ url: broker.url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  const online = await nats.online(never);
  const { connection } = online;
  const bucket = await openBucket(online, never);
  const clock = manualClock();
  const { log, lines } = recordingLog();
  const stopping = new AbortController();
  const stop = async () => {
    stopping.abort();
    await ended;
  };
  let ended: Promise<void> | undefined;
  return {
    bucket,
    clock,
    lines,
    stop,
    start() {
      ended = cleanUp(connection, { service: "product", log, clock }, stopping.signal);
      atEnd(stop);
    },
    keys: async () =>
      (await readBucket(connection, ">", 100, never))
        .map(({ key }) => key)
        .sort()
        .join(),
  };
}

test("what has stood still for a minute goes: the dead, and the marks of those that left", async () => {
  const { bucket, clock, lines, start, keys } = await cleaning();
  for (const key of ["product.dead", "product.left", "product.alive", "other.dead"])
    await bucket.put(key, "x");
  await bucket.delete("product.left");
  start();
  await clock.whenSleeping(1);
  await bucket.put("product.alive", "x");
  await bucket.put("product.late", "x");
  clock.advance(59_999);
  await clock.whenSleeping(1);
  expect(await keys()).toBe("other.dead,product.alive,product.dead,product.late,product.left");
  clock.advance(1);
  await until(async () => (await keys()) === "other.dead,product.alive,product.late");
  await clock.whenSleeping(1);
  expect(lines.map(({ msg, key }) => [msg, key])).toEqual([
    ["took a dead instance out of the registry", "product.dead"],
  ]);
  await bucket.put("product.alive", "x");
  clock.advance(60_000);
  await until(async () => (await keys()) === "other.dead,product.alive");
});

test("a bucket that is away is no reason to end", async () => {
  const { bucket, clock, lines, start, stop } = await cleaning();
  await bucket.destroy();
  start();
  await clock.whenSleeping(1);
  expect(lines.map(({ msg }) => msg)).toEqual(["could not clean the registry up"]);
  await stop();
});
