import { create, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { DeadLetterRecordSchema } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { type RecordFilter, readDeadLetterRecords } from "./dead-letter-records.ts";
import { DEAD_LETTER_RECORDS, ensureStream } from "./streams.ts";

const signal = new AbortController().signal;
const { url } = await testBroker();
const nats = openNats({ url, name: "test", log: silentLog });
atEnd(() => nats.close());
const online = await nats.online(signal);
const manager = await jetstreamManager(online.connection, { checkAPI: false });
const ANY: RecordFilter = { action: "", operator: "", consumer: "", key: "", since: undefined };

/** Notes, in the order in which they are read. */
async function read(filter: Partial<RecordFilter> = {}, beforeSeq?: number): Promise<string[]> {
  const records = readDeadLetterRecords(online, { filter: { ...ANY, ...filter }, beforeSeq, signal });
  return (await Array.fromAsync(records)).map(({ record }) => record.note);
}

/** Writes a record down, done so many seconds after the epoch. */
async function record(
  n: number,
  { action = "replay", operator = "ada", consumer = "toy__moves", key = "a" } = {},
) {
  const letter = { consumer, key };
  const time = timestampFromMs(n * 1_000);
  const said = create(DeadLetterRecordSchema, { action, operator, letter, note: String(n), time });
  await jetstream(online.connection).publish(
    `dlqaudit.${action}`,
    toJsonString(DeadLetterRecordSchema, said),
  );
}

test("records are read from the latest to the first, however many, also from a place on", async () => {
  expect(await read()).toEqual([]);
  await ensureStream(manager, DEAD_LETTER_RECORDS);
  expect(await read()).toEqual([]);
  const count = 1_203;
  const all = Array.from({ length: count }, (_, at) => at + 1);
  for (const n of all) await record(n);
  const latestFirst = all.toReversed().map(String);
  expect(await read()).toEqual(latestFirst);
  expect(await read({}, 703)).toEqual(latestFirst.slice(count - 702));
  expect(await read({}, 1)).toEqual([]);
  expect(await read({ since: new Date(700_000) })).toEqual(latestFirst.slice(0, count - 699));
  await manager.streams.purge(DEAD_LETTER_RECORDS.name, { seq: 1_000 });
  expect(await read()).toEqual(latestFirst.slice(0, count - 999));
});

test("records are told apart by what was done, by whom and with which letters", async () => {
  await manager.streams.purge(DEAD_LETTER_RECORDS.name);
  await record(1);
  await record(2, { action: "discard" });
  await record(3, { operator: "grace" });
  await record(4, { consumer: "toy__others" });
  await record(5, { consumer: "other__moves", key: "b" });
  expect(await read({ action: "discard" })).toEqual(["2"]);
  expect(await read({ operator: "grace" })).toEqual(["3"]);
  expect(await read({ consumer: "toy" })).toEqual(["4", "3", "2", "1"]);
  expect(await read({ consumer: "toy__others" })).toEqual(["4"]);
  expect(await read({ key: "b" })).toEqual(["5"]);
});
