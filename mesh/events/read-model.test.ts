import { expect, test } from "vitest";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { PermanentError } from "../core/errors.ts";
import { silentLog } from "../core/log.ts";
import { liveBuild } from "../store/live-build.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { consume } from "./consume.ts";
import { on } from "./handlers.ts";
import { followReadModel, type KeySnapshot, type ReadModel, type ReadModelOptions } from "./read-model.ts";
import { DEAD_LETTERS } from "./streams.ts";

await testBroker();

/** What has become of a key in a build: the events that were handled, and `-n` for what the owner told up to n. */
async function contentOf({ sql }: ToyShop, build: number, key: string): Promise<number[]> {
  const rows = await sql<{ n: number }[]>`
    SELECT n FROM model WHERE build = ${build} AND key = ${key} ORDER BY id`;
  return rows.map(({ n }) => n);
}

/** A read model of toys' moves, which fails at what the test says. */
function modelOf(
  { contract }: ToyShop,
  snapshot: ReadModel["snapshot"],
  fails = (_build: number, _n: number) => false,
) {
  const model: ReadModel = {
    handlers: (build) => [
      on(contract.Moved, async (tx, { toyId, n }) => {
        if (fails(build, n)) throw new PermanentError("never");
        await tx`INSERT INTO model (build, key, n) VALUES (${build}, ${toyId}, ${n})`;
      }),
    ],
    snapshot,
    drop: async (tx, build) => void (await tx`DELETE FROM model WHERE build = ${build}`),
  };
  return model;
}

async function shopWithModel(build: number, ordering: Ordering = Ordering.STRICT): Promise<ToyShop> {
  const shop = await toyShop({ build, ordering });
  await shop.sql`CREATE TABLE model (id bigint GENERATED ALWAYS AS IDENTITY, build int, key text, n int)`;
  return shop;
}

function follow(shop: ToyShop, model: ReadModel, more: Partial<ReadModelOptions> = {}) {
  const { sql, nats, contract } = shop;
  const { service, subscription } = contract;
  const running = followReadModel({
    sql,
    nats,
    service,
    subscription,
    model,
    consume: (build, handlers, begins) =>
      consume({ sql, nats, service, subscription, build, handlers, begins, log: silentLog }),
    log: silentLog,
    ...more,
  });
  atEnd(() => running.stop());
  return running;
}

const noSnapshot: ReadModel["snapshot"] = async function* () {};

test("a key whose beginning is gone waits for its owner's word; one that the stream has whole does not need it", async () => {
  const shop = await shopWithModel(2);
  const { stream } = shop.contract;
  shop.relay();
  for (const n of [1, 2, 3]) await shop.move("old", n);
  await until(async () => (await shop.stored(stream).catch(() => [])).length === 3);
  await (await shop.manager()).streams.purge(stream, { seq: 3 });
  for (const n of [1, 2]) await shop.move("young", n);

  const asked = Promise.withResolvers<void>();
  const written: string[] = [];
  async function* snapshot(): AsyncGenerator<KeySnapshot> {
    await asked.promise;
    for (const [key, version] of [
      ["old", 2],
      ["young", 1],
      ["silent", 7],
    ] as const) {
      yield {
        key,
        version,
        async write(tx, build) {
          written.push(key);
          await tx`INSERT INTO model (build, key, n) VALUES (${build}, ${key}, ${-version})`;
        },
      };
    }
  }
  follow(shop, modelOf(shop, snapshot));
  await until(async () => (await contentOf(shop, 2, "young")).length === 2);
  // The one in use begins with what it finds, as it always did.
  await until(async () => (await contentOf(shop, 1, "old")).length === 1);
  expect(await contentOf(shop, 2, "old")).toEqual([]);
  expect(await liveBuild(shop.sql, "moves")).toBe(1);
  asked.resolve();
  await until(async () => (await liveBuild(shop.sql, "moves")) === 2);
  expect(written).toEqual(["old", "silent"]);
  expect(await contentOf(shop, 2, "old")).toEqual([-2, 3]);
  expect(await contentOf(shop, 2, "young")).toEqual([1, 2]);
  expect(await contentOf(shop, 2, "silent")).toEqual([-7]);
});

test("a build that has given up an event is not taken into use before that is settled", async () => {
  const shop = await shopWithModel(2);
  shop.relay();
  shop.relay(DEAD_LETTERS);
  for (const n of [1, 2, 3]) await shop.move("a", n);
  // The one in use has handled all of them.
  const { stream, consumer: old } = shop.contract;
  await shop.sql`INSERT INTO inbox_cursor (consumer, stream, key, last_seq) VALUES (${old}, ${stream}, 'a', 3)`;
  const { log, lines } = recordingLog();
  follow(
    shop,
    modelOf(shop, noSnapshot, (build, n) => build === 2 && n === 2),
    { log },
  );
  const consumer = `${old}_v2`;
  const letters = await shop.deadLetters(2);
  expect(letters.map(({ headers }) => headers["dlq-consumer"])).toEqual([consumer, consumer]);
  const behind = { msg: "a read model's new build is behind", keys: 1, key: "a" };
  await until(() =>
    lines.some((line) => Object.entries(behind).every(([name, value]) => line[name] === value)),
  );
  expect(await liveBuild(shop.sql, "moves")).toBe(1);
  // As a discard of both does.
  await shop.sql`UPDATE inbox_cursor SET last_seq = parked_until WHERE consumer = ${consumer}`;
  await until(async () => (await liveBuild(shop.sql, "moves")) === 2);
  expect(await contentOf(shop, 2, "a")).toEqual([1]);
});

test("an instance whose contract is older than the build in use consumes nothing", async () => {
  const shop = await shopWithModel(2);
  await shop.sql`INSERT INTO read_model (subscription, live) VALUES ('moves', 3)`;
  const clock = manualClock();
  const consumed: number[] = [];
  const running = follow(shop, modelOf(shop, noSnapshot), {
    clock,
    consume(build) {
      consumed.push(build);
      return { stop: async () => {} };
    },
  });
  await clock.whenSleeping(1);
  expect(consumed).toEqual([]);
  await running.stop();
});

test("an instance stops consuming for a build when a newer one is in use", async () => {
  const shop = await shopWithModel(1);
  const clock = manualClock();
  const states: string[] = [];
  const running = follow(shop, modelOf(shop, noSnapshot), {
    clock,
    consume(build) {
      states.push(`began ${build}`);
      return { stop: async () => void states.push(`ended ${build}`) };
    },
  });
  await clock.whenSleeping(1);
  expect(states).toEqual(["began 1"]);
  await shop.sql`UPDATE read_model SET live = 2`;
  clock.advance(500);
  await clock.whenSleeping(1);
  expect(states).toEqual(["began 1", "ended 1"]);
  await running.stop();
});

test("what cannot be built anew is refused at once", async () => {
  const unordered = await shopWithModel(2, Ordering.NONE);
  expect(() => follow(unordered, modelOf(unordered, noSnapshot))).toThrow("without an order nobody can tell");
  const shop = await shopWithModel(2);
  const model = { ...modelOf(shop, noSnapshot), handlers: () => [] };
  expect(() => follow(shop, model)).toThrow(`nothing handles ${shop.contract.Moved.typeName}`);
});
