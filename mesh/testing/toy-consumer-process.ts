import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "../core/clock.ts";
import { PermanentError } from "../core/errors.ts";
import { silentLog } from "../core/log.ts";
import { consume } from "../events/consume.ts";
import { on } from "../events/handlers.ts";
import { outboxChanges } from "../events/publish.ts";
import { DEAD_LETTERS } from "../events/streams.ts";
import { openNats } from "../nats/connection.ts";
import { connect } from "../store/connect.ts";
import { toys } from "./toys.ts";

/** What becomes of a consumer in a process of its own when it handles the event with the number `at`. */
export type Fate =
  | "dies in its handler"
  | "dies after its commit"
  | "dies after its dead letter"
  | "blocks its event loop";

/** What the process needs to know. */
export interface ToyConsumerConfig {
  readonly databaseUrl: string;
  readonly natsUrl: string;
  readonly aggregate: string;
  readonly maxAttempts: number;
  readonly handlerTimeoutMs: number;
  readonly ackWaitMs: number;
  /** Messages in a transaction, at most. */
  readonly batch: number;
  readonly fate: Fate;
  readonly at: number;
}

// A consumer in a process of its own, for tests that let it die: it handles the events of a toy shop until its fate
// comes, and says on its output when that begins.
const config: ToyConsumerConfig = JSON.parse(process.argv[2] ?? "");
const { fate, at, maxAttempts } = config;
const subscription = { maxAttempts, handlerTimeout: durationFromMs(config.handlerTimeoutMs) };

// The contracts of a process are counted: this is the same as the shop's.
let contract = toys(subscription);
while (contract.aggregate !== config.aggregate) contract = toys(subscription);

const die = () => void process.kill(process.pid, "SIGKILL");
const never = new AbortController().signal;
if (fate === "dies after its dead letter")
  void outboxChanges.next([DEAD_LETTERS.name], 2 ** 30, never, systemClock).then(die);

const moved = on(contract.Moved, async (tx, { toyId, n }, { eventId }) => {
  await tx`INSERT INTO effect (key, n, event_id) VALUES (${toyId}, ${n}, ${eventId})`;
  if (n !== at) return;
  process.stdout.write("now\n");
  switch (fate) {
    case "dies in its handler":
      die();
      return new Promise(() => {});
    case "dies after its commit":
      return tx.afterCommit(die);
    case "dies after its dead letter":
      throw new PermanentError("never");
    case "blocks its event loop":
      for (;;);
  }
});

consume({
  sql: connect({ url: config.databaseUrl, name: "toy-consumer" }),
  nats: openNats({ url: config.natsUrl, name: "toy-consumer", log: silentLog }),
  service: contract.service,
  subscription: contract.subscription,
  handlers: [moved],
  ackWaitMs: config.ackWaitMs,
  batch: config.batch,
  log: silentLog,
});
process.once("disconnect", () => process.exit());
