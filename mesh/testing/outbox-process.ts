import { silentLog } from "../core/log.ts";
import { publish } from "../events/publish.ts";
import { startRelay } from "../events/relay.ts";
import type { StreamPlan } from "../events/streams.ts";
import { openNats } from "../nats/connection.ts";
import { connect } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";
import { toys } from "./toys.ts";

/** What a test asks of the process. */
export type OutboxOrder =
  /** Carry this stream to the broker. */
  | { readonly do: "relay"; readonly stream: StreamPlan; readonly natsUrl: string }
  /** Publish an event of this aggregate, and commit when told to. */
  | { readonly do: "publish"; readonly aggregate: string; readonly key: string }
  | { readonly do: "commit" };

/** How far the process is. */
export type OutboxReport = "ready" | "relays" | "published" | "committed";

/** What its sessions are called in `pg_stat_activity`. */
export const OUTBOX_PROCESS = "outbox-process";

// A service with an outbox, in a process of its own, for tests that kill one.
if (import.meta.main) {
  const databaseUrl = process.env.DATABASE_URL ?? "";
  const sql = connect({ url: databaseUrl, name: OUTBOX_PROCESS });
  const report = (report: OutboxReport) => process.send?.(report);
  const commit = Promise.withResolvers<void>();

  process.on("message", async (order: OutboxOrder) => {
    if (order.do === "relay") {
      const nats = openNats({ url: order.natsUrl, name: OUTBOX_PROCESS, log: silentLog });
      startRelay({ sql, databaseUrl, nats, stream: order.stream, log: silentLog });
      report("relays");
    } else if (order.do === "publish") {
      await transaction(sql, async (tx) => {
        await publish(tx, contractOf(order.aggregate).Moved, { toyId: order.key, n: 1 });
        report("published");
        await commit.promise;
      });
      report("committed");
    } else commit.resolve();
  });
  process.once("disconnect", () => process.exit());
  report("ready");
}

/** The contract of the test, which has made some before it. */
function contractOf(aggregate: string) {
  for (;;) {
    const contract = toys();
    if (contract.aggregate === aggregate) return contract;
  }
}
