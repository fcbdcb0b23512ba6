import { expect, test } from "vitest";
import { type Clock, systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { type ManualClock, manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { openBucket } from "./bucket.ts";
import { discover } from "./discover.ts";
import { encodeEntry, keyOf } from "./entry.ts";
import { MAX_MEMBERS } from "./members.ts";
import { register } from "./register.ts";

const broker = await testBroker();
const never = new AbortController().signal;
let services = 0;

function connected() {
  const nats = openNats({ url: broker.url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  return nats;
}

/** A service of this test's own, its instances, and who follows it. */
function shop() {
  const service = `service-${++services}`;
  return {
    service,
    start(host: string, clock: Clock = systemClock) {
      const endpoint = { host, port: 7 };
      const running = register({
        nats: connected(),
        service,
        instance: host,
        endpoint,
        log: silentLog,
        clock,
      });
      atEnd(() => running.stop());
      return running;
    },
    follow(clock: Clock = systemClock) {
      const { log, lines } = recordingLog();
      const state: { hosts?: string } = {};
      const lists: string[] = [];
      const nats = connected();
      const discovery = discover({ scheme: "nats", service }, { nats, log, clock }, (endpoints) => {
        state.hosts = endpoints
          .map(({ host }) => host)
          .sort()
          .join();
        lists.push(state.hosts);
      });
      atEnd(() => discovery.stop());
      return {
        nats,
        discovery,
        lines,
        lists,
        hosts: () => state.hosts,
        shows: (hosts: string) => until(() => state.hosts === hosts),
      };
    },
    async bucket() {
      const bucket = await openBucket(await connected().online(never), never);
      const put = (host: string, text?: string) => {
        const entry = { endpoint: { host, port: 7 }, instance: host, startedAt: "" };
        return bucket.put(keyOf(service, entry), text ?? encodeEntry(entry));
      };
      return { bucket, put };
    },
  };
}

/** Moves time second by second, a turn of the loop between two. */
async function pass(seconds: number, clock: ManualClock): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("instances come and go", async () => {
  const { start, follow } = shop();
  const reader = follow(manualClock());
  await reader.shows("");
  // By clocks that stand, so that nobody is too slow to take its leave.
  const a = start("a", manualClock());
  await reader.shows("a");
  const b = start("b", manualClock());
  await reader.shows("a,b");
  await a.stop();
  await reader.shows("b");
  await b.stop();
  await reader.shows("");
  expect(reader.lists).toEqual(["", "a", "a,b", "b", ""]);
});

test("who comes later is told all at once, and of this service only", async () => {
  const { start, follow } = shop();
  const { put } = await shop().bucket();
  await put("stranger");
  for (const host of ["a", "b", "c"]) start(host);
  const reader = follow();
  await reader.shows("a,b,c");
  const late = follow();
  await late.shows("a,b,c");
  expect(late.lists).toEqual(["a,b,c"]);
});

test("nobody is told anything after the stop", async () => {
  const { start, follow } = shop();
  const [reader, other] = [follow(), follow()];
  await reader.shows("");
  await reader.discovery.stop();
  start("a");
  await other.shows("a");
  expect(reader.lists).toEqual([""]);
});

test("an instance that dies without a word is left out, by the reader's clock", async () => {
  const { start, follow } = shop();
  const [readers, living, dying] = [manualClock(), manualClock(), manualClock()];
  start("alive", living);
  start("dead", dying);
  const reader = follow(readers);
  await reader.shows("alive,dead");
  const { connection } = await reader.nats.online(never);
  await until(async () => {
    // Its heartbeat and its clean-up.
    await living.whenSleeping(2);
    const { inMsgs } = connection.stats();
    living.advance(2_000);
    // However long that takes to come: the reader's time is not the broker's.
    await until(() => connection.stats().inMsgs > inMsgs);
    await pass(1, readers);
    return reader.hosts() === "alive";
  });
  expect(reader.lines.map(({ msg, endpoint }) => [msg, endpoint])).toEqual([
    ["an instance is silent; left out", "dead:7"],
  ]);
  dying.advance(2_000);
  await reader.shows("alive,dead");
});

test("when every instance is silent the list stands, and it is said once", async () => {
  const { start, follow } = shop();
  const clock = manualClock();
  for (const host of ["a", "b"]) start(host, manualClock());
  const reader = follow(clock);
  await reader.shows("a,b");
  await pass(60, clock);
  expect(reader.lists.at(-1)).toBe("a,b");
  expect(reader.lines.map(({ msg }) => msg)).toEqual(["every instance is silent; keeps the list"]);
});

test("a reader that stood still itself lets nobody expire", async () => {
  const { start, follow, bucket } = shop();
  const clock = manualClock();
  const { put } = await bucket();
  start("a", manualClock());
  const reader = follow(clock);
  await reader.shows("a");
  await pass(4, clock);
  // Heard after a for long enough.
  await put("b");
  await reader.shows("a,b");
  clock.advance(10_000);
  await pass(1, clock);
  expect(reader.hosts()).toBe("a,b");
  expect(reader.lines).toEqual([]);
});

test("while NATS is away the list stands; when it is back, instances register anew", async () => {
  const { start, follow } = shop();
  const clock = manualClock();
  start("a");
  const b = start("b");
  const reader = follow(clock);
  await reader.shows("a,b");
  await broker.stop();
  await pass(60, clock);
  await b.stop();
  expect(reader.lists.at(-1)).toBe("a,b");
  await broker.start();
  // The reader's backoff runs on its own clock; of b nothing is left in the broker's memory.
  await until(async () => {
    await pass(1, clock);
    await new Promise((resolve) => setTimeout(resolve, 50));
    return reader.hosts() === "a";
  });
});

test("when NATS is back everybody has a full period of grace", async () => {
  const { start, follow, bucket } = shop();
  const clock = manualClock();
  const { put } = await bucket();
  start("a", manualClock());
  const reader = follow(clock);
  await reader.shows("a");
  await pass(5, clock);
  // Heard after a for long enough.
  await put("b");
  await reader.shows("a,b");
  const { lost } = await reader.nats.online(never);
  await broker.stop();
  await until(() => lost.aborted);
  await pass(60, clock);
  await broker.start();
  start("c", manualClock());
  await reader.shows("a,b,c");
  await pass(5, clock);
  expect(reader.hosts()).toBe("a,b,c");
  expect(reader.lines).toEqual([]);
});

test("a bucket that is deleted is made again, and those who follow it see on", async () => {
  const { start, follow, bucket } = shop();
  let sleeping = 0;
  const clock = {
    ...systemClock,
    async sleep(delayMs: number, signal?: AbortSignal) {
      sleeping++;
      await systemClock.sleep(delayMs, signal);
      sleeping--;
    },
  };
  start("a");
  const reader = follow(clock);
  await reader.shows("a");
  await (await bucket()).bucket.destroy();
  start("b");
  await reader.shows("a,b");
  // When it has heard of this one, the second watch has told all that was there.
  start("c");
  await reader.shows("a,b,c");
  // Of the first watch nothing is left.
  expect(sleeping).toBe(1);
});

test("what is no entry is ignored, and said once", async () => {
  const { start, follow, bucket } = shop();
  start("a");
  const { put } = await bucket();
  await put("b", "nonsense");
  await put("c", '{"host":"c/d","port":7}');
  const reader = follow();
  await reader.shows("a");
  await put("d", "[]");
  await put("e");
  await reader.shows("a,e");
  expect(reader.lines.map(({ msg }) => msg)).toEqual([
    "ignores an entry of the registry that cannot be read",
  ]);
});

test("an entry that is too long is ignored, too", async () => {
  const { follow, bucket } = shop();
  const { put } = await bucket();
  await put("a", `{"host":"a","port":7,"x":"${"x".repeat(1_000)}"}`);
  await put("b");
  const reader = follow();
  await reader.shows("b");
});

test("of more than 1,000 instances the first 1,000 count, and it is said once", async () => {
  const { follow, bucket } = shop();
  const { put } = await bucket();
  await Promise.all(Array.from({ length: MAX_MEMBERS + 5 }, (_, n) => put(`host-${n}`)));
  const reader = follow();
  const list = await until(() => reader.hosts());
  expect(list.split(",")).toHaveLength(MAX_MEMBERS);
  expect(reader.lines.map(({ msg }) => msg)).toEqual(["ignores instances: there are too many"]);
});

test("stopping does not wait for NATS", async () => {
  const nats = openNats({ url: "nats://127.0.0.1:1", name: "test", log: silentLog });
  atEnd(() => nats.close());
  const discovery = discover({ scheme: "nats", service: "x" }, { nats, log: silentLog }, () => {});
  await discovery.stop();
});
