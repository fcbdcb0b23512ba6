import { AckPolicy, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { until } from "../testing/until.ts";
import { forget, openBucket, readBucket, removeKey, watchBucket } from "./bucket.ts";

const broker = await testBroker();
const never = new AbortController().signal;

async function opened() {
  const nats = openNats({ url: broker.url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  const online = await nats.online(never);
  const { connection } = online;
  const bucket = await openBucket(online, never);
  atEnd(async () => {
    await (await jetstreamManager(connection)).streams.delete("KV_weft_registry").catch(() => {});
  });
  return { ...online, bucket };
}

type Opened = Awaited<ReturnType<typeof opened>>;

/** What a watch has told, as `key=value`, `key` for one that was deleted, and `.` when it had caught up. */
function watching({ connection }: Opened, keys = "a.>") {
  const told: string[] = [];
  const stopping = new AbortController();
  const ended = watchBucket(connection, keys, stopping.signal, {
    changed: ({ key, value }) => told.push(value ? `${key}=${new TextDecoder().decode(value)}` : key),
    caughtUp: () => told.push("."),
  });
  ended.catch(() => {});
  atEnd(async () => stopping.abort());
  return { told, ended, stop: () => stopping.abort(new Error("enough")) };
}

/** Where the broker delivers to those who watch. */
async function watches({ connection }: Opened): Promise<string[]> {
  const { consumers } = await jetstreamManager(connection);
  return (await consumers.list("KV_weft_registry").next()).map(({ config }) => `${config.deliver_subject}`);
}

test("a watch tells what is there, that this was all, and then what changes", async () => {
  const open = await opened();
  await open.bucket.put("a.1", "old");
  for (const [key, value] of [
    ["a.1", "x"],
    ["a.2", "y"],
    ["b.1", "z"],
    ["a.3", "w"],
  ] as const)
    await open.bucket.put(key, value);
  await open.bucket.delete("a.2");
  const { told } = watching(open);
  await until(() => told.includes("a.2"));
  expect(told).toEqual(["a.1=x", "a.3=w", "a.2", "."]);
  await open.bucket.put("a.4", "new");
  await removeKey(open.connection, "a.1");
  await until(() => told.length === 6);
  expect(told.slice(4)).toEqual(["a.4=new", "a.1"]);
});

test("of nothing, a watch has told all at once", async () => {
  const open = await opened();
  const { told } = watching(open);
  await until(async () => (await watches(open)).length > 0);
  await open.bucket.put("a.1", "x");
  await until(() => told.includes("a.1=x"));
  expect(told).toEqual([".", "a.1=x"]);
});

test("a watch that is stopped ends for that reason, and the broker forgets it", async () => {
  const open = await opened();
  const { told, ended, stop } = watching(open);
  await until(() => told.length > 0);
  const [inbox = ""] = await watches(open);
  stop();
  await expect(ended).rejects.toThrow("enough");
  await until(async () => (await watches(open)).length === 0);
  await expect(open.connection.request(inbox)).rejects.toThrow("no responders");
});

test("a watch that was not told something ends", async () => {
  const open = await opened();
  for (const key of ["a.1", "a.2", "a.3"]) await open.bucket.put(key, "x");
  const { told, ended } = watching(open);
  await until(() => told.includes("."));
  // Another of the broker's consumers delivers to the same watch, and counts from 1.
  const [inbox = ""] = await watches(open);
  const { consumers } = await jetstreamManager(open.connection);
  await consumers.add("KV_weft_registry", { deliver_subject: inbox, ack_policy: AckPolicy.None });
  await expect(ended).rejects.toThrow("a change of the registry was left out");
});

test("a watch whose bucket goes away ends, though another takes its place at once", async () => {
  const open = await opened();
  for (let n = 0; n < 5; n++) await open.bucket.put(`a.${n}`, "x");
  const { told, ended } = watching(open);
  await until(() => told.includes("."));
  await open.bucket.destroy();
  await openBucket(open, never);
  await expect(ended).rejects.toThrow(/registry|consumer deleted/);
});

test("a bucket that an operator has made is taken as it is", async () => {
  const open = await opened();
  await open.bucket.destroy();
  await new Kvm(open.connection).create("weft_registry", { history: 3 });
  const status = await (await openBucket(open, never)).status();
  expect([status.history, status.storage]).toEqual([3, "file"]);
});

test("who comes at the same time makes one bucket", async () => {
  const open = await opened();
  await open.bucket.destroy();
  const buckets = await Promise.all(Array.from({ length: 10 }, () => openBucket(open, never)));
  expect(await Promise.all(buckets.map((each, n) => each.put("a.1", `${n}`)))).toHaveLength(10);
});

test("our own bucket is small, and in memory", async () => {
  const status = await (await opened()).bucket.status();
  expect([status.history, status.storage, status.max_bytes]).toEqual([1, "memory", 8 * 2 ** 20]);
});

test("reading ends with the last word on each key, or with as many as were asked for", async () => {
  const open = await opened();
  for (const key of ["a.1", "a.2", "a.3"]) await open.bucket.put(key, "x");
  await open.bucket.delete("a.2");
  const all = await readBucket(open.connection, "a.>", 10, never);
  expect(all.map(({ key, value }) => [key, value !== undefined])).toEqual([
    ["a.1", true],
    ["a.3", true],
    ["a.2", false],
  ]);
  expect(await readBucket(open.connection, "a.>", 2, never)).toHaveLength(2);
  expect(await readBucket(open.connection, "b.>", 10, never)).toEqual([]);
  const stopped = AbortSignal.abort(new Error("enough"));
  await expect(readBucket(open.connection, "a.>", 10, stopped)).rejects.toThrow("enough");
});

test("a key is forgotten at the revision that was seen, never at a later one", async () => {
  const open = await opened();
  const seen = async () => readBucket(open.connection, "a.>", 10, never);
  await open.bucket.put("a.1", "x");
  await open.bucket.put("a.2", "x");
  await open.bucket.delete("a.2");
  await open.bucket.put("a.3", "x");
  const before = await seen();
  await open.bucket.put("a.3", "alive");
  for (const change of before) await forget(open.connection, change);
  expect((await seen()).map(({ key }) => key)).toEqual(["a.3"]);
  expect((await open.bucket.status()).values).toBe(1);
});
