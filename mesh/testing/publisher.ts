import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Kind } from "../../gen/mesh/event/v1/event_pb.ts";
import { eventContract, streamContract } from "../contract/event.ts";
import { silentLog } from "../core/log.ts";
import { publish, send } from "../events/publish.ts";
import { startRelay } from "../events/relay.ts";
import { eventStream } from "../events/streams.ts";
import { openNats } from "../nats/connection.ts";
import { connect, type Sql } from "../store/connect.ts";
import { migrate } from "../store/migrate.ts";
import { transaction } from "../store/transaction.ts";
import { atEnd } from "./at-end.ts";
import { testBroker } from "./broker.ts";
import { testDatabase } from "./database.ts";

/** Stands for a service that publishes events or sends commands. */
export interface Publisher<T extends DescMessage> {
  /** Publishes as the owner would: through an outbox and a relay. Resolves with the event's number within its key, 0 if it has none. */
  publish(init: MessageInitShape<T>): Promise<number>;
  /** The same for another event of the same stream. */
  publishOther<U extends DescMessage>(schema: U, init: MessageInitShape<U>): Promise<number>;
}

/** Publishes events, or sends commands, of one type to the broker of the test file. */
export async function testPublisher<T extends DescMessage>(schema: T): Promise<Publisher<T>> {
  const { url: databaseUrl } = await testDatabase();
  const { url } = await testBroker();
  const log = silentLog;
  const sql = connect({ url: databaseUrl, name: "test-publisher", maxConnections: 4 });
  const folder = new URL("../events/migrations/", import.meta.url);
  await migrate(sql, [{ set: "mesh/events", folder }], log);
  const nats = openNats({ url, name: "test-publisher", log });
  const relay = startRelay({
    sql,
    databaseUrl,
    nats,
    stream: eventStream(streamContract(schema)),
    source: "/test/publisher",
    log,
  });
  atEnd(async () => {
    await relay.stop();
    await nats.close();
    await sql.end({ timeout: 1 });
  });
  const publishOther = <U extends DescMessage>(other: U, init: MessageInitShape<U>) =>
    transaction(sql, async (tx) => {
      await (eventContract(other).kind === Kind.COMMAND ? send : publish)(tx, other, init);
      const [row] = await tx<{ key_seq: number }[]>`SELECT key_seq FROM outbox ORDER BY id DESC LIMIT 1`;
      return row?.key_seq ?? 0;
    });
  return { publish: (init) => publishOther(schema, init), publishOther };
}

const POLL_MS = 10;

/**
 * Resolves when a consumer has handled the event with this number of a key. Waits as long as the test may take: a
 * condition, not a length of time.
 */
export async function handled(
  sql: Sql,
  consumer: string,
  schema: DescMessage,
  { key, seq }: { key: string; seq: number },
): Promise<void> {
  const { stream } = eventContract(schema);
  for (;;) {
    const [row] = await sql`
      SELECT 1 FROM inbox_cursor
      WHERE consumer = ${consumer} AND stream = ${stream} AND key = ${key} AND last_seq >= ${seq}`;
    if (row) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
