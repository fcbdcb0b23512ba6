import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { on } from "../events/handlers.ts";
import { publish } from "../events/publish.ts";
import { transaction } from "../store/transaction.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { testParts } from "../testing/parts.ts";
import { type Toys, toys } from "../testing/toys.ts";
import { until } from "../testing/until.ts";
import { serve } from "./serve.ts";

const broker = await testBroker();

/** The service that owns the events of a contract. */
async function startOwner({ aggregate, Moved, stream }: Toys) {
  const { url: databaseUrl, sql } = await meshDatabase();
  const parts = await testParts({ service: aggregate, databaseUrl });
  const app = await serve(parts, {
    contract: PaymentService,
    routes: (router) => router.service(PaymentService, {}),
    publishes: Moved,
  });
  atEnd(() => app.stop());
  const { connection } = await parts.nats.online(AbortSignal.timeout(20_000));
  const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
  return {
    sql,
    async publish(n: number) {
      await transaction(sql, (tx) => publish(tx, Moved, { toyId: "a", n }));
      await until(
        async () =>
          (
            await sql`SELECT 1 FROM outbox WHERE stream = ${stream} AND key_seq = ${n} AND published_at IS NOT NULL`
          ).length === 1,
      );
    },
    /** Has the stream forget the events before this one, and the broker that it ever had them. */
    async forgetBefore(seq: number) {
      await streams.purge(stream, { seq });
      await broker.stop();
      await broker.start();
    },
  };
}

/** A service that handles them, in a database that outlives it. */
async function reader(contract: Toys) {
  const { url: databaseUrl, sql } = await meshDatabase();
  await sql`CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, n int)`;
  const effects = async () =>
    (await sql<{ n: number }[]>`SELECT n FROM effect ORDER BY id`).map(({ n }) => n);
  return {
    effects,
    untilEffects: (count: number) => until(async () => (await effects()).length >= count),
    deadLetters: () =>
      sql<{ headers: Record<string, string> }[]>`SELECT headers FROM outbox WHERE stream = 'DLQ'`,
    async start() {
      const parts = await testParts({ service: `reader-of-${contract.aggregate}`, databaseUrl });
      const moved = on(
        contract.Moved,
        async (tx, { n }) => void (await tx`INSERT INTO effect (n) VALUES (${n})`),
      );
      const app = await serve(parts, {
        contract: contract.service,
        routes: () => {},
        handles: { [contract.subscription]: [moved], commands: [on(contract.Fetch, async () => {})] },
      });
      atEnd(() => app.stop());
      return app;
    },
  };
}

test("a service that was away for longer than the stream keeps gets what it has missed from its owner", async () => {
  const contract = toys();
  const owner = await startOwner(contract);
  const consumer = await reader(contract);
  const first = await consumer.start();
  await owner.publish(1);
  await consumer.untilEffects(1);
  await first.stop();
  for (const n of [2, 3, 4]) await owner.publish(n);
  await owner.forgetBefore(4);
  await consumer.start();
  await consumer.untilEffects(4);
  expect(await consumer.effects()).toEqual([1, 2, 3, 4]);
  expect(await consumer.deadLetters()).toHaveLength(0);
});

test("what its owner has forgotten too becomes a dead letter that says so", async () => {
  const contract = toys();
  const owner = await startOwner(contract);
  const consumer = await reader(contract);
  const first = await consumer.start();
  await owner.publish(1);
  await consumer.untilEffects(1);
  await first.stop();
  for (const n of [2, 3, 4]) await owner.publish(n);
  await owner.sql`DELETE FROM outbox WHERE stream = ${contract.stream} AND key_seq IN (2, 3)`;
  await owner.forgetBefore(4);
  await consumer.start();
  const [letter] = await until(async () => {
    const letters = await consumer.deadLetters();
    return letters.length > 0 && letters;
  });
  expect(letter?.headers).toMatchObject({ "dlq-reason": "history_lost", "ce-keyseq": "4" });
  expect(await consumer.effects()).toEqual([1]);
});
