import { fromBinary } from "@bufbuild/protobuf";
import type { JsMsg } from "@nats-io/jetstream";
import { eventContract } from "../../mesh/contract/event.ts";
import { systemClock } from "../../mesh/core/clock.ts";
import type { Log } from "../../mesh/core/log.ts";
import type { Running } from "../../mesh/core/process.ts";
import { followDurable, giveBack } from "../../mesh/events/durable.ts";
import { readEnvelope } from "../../mesh/events/envelope.ts";
import { subjectsOf } from "../../mesh/events/subject.ts";
import { remember } from "../../mesh/events/unordered.ts";
import type { Nats } from "../../mesh/nats/connection.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import { contract } from "./contract.ts";

/** What a consumer without a gate needs. */
export interface NaiveConsumerOptions {
  readonly sql: Sql;
  readonly nats: Nats;
  readonly concurrency: number;
  readonly ackWaitMs: number;
  readonly log: Log;
  /** Whether it remembers the ids of what it has handled. */
  readonly hasInbox: boolean;
  readonly handle: (
    tx: Tx,
    event: { readonly toyId: string; readonly n: number; readonly text: string },
    meta: { readonly eventId: string; readonly attempt: number },
  ) => Promise<void>;
}

/** The control: a consumer as most are written. It acknowledges after its transaction, and trusts the broker's order. */
export function consumeNaively(options: NaiveConsumerOptions): Running {
  const { sql, nats, concurrency, ackWaitMs, log, hasInbox, handle } = options;
  async function settle(message: JsMsg): Promise<void> {
    try {
      const { eventId } = readEnvelope(message.headers);
      await transaction(sql, async (tx) => {
        if (hasInbox && !(await remember(tx, contract.consumer, eventId))) return;
        const event = fromBinary(contract.Moved, message.data);
        await handle(tx, event, { eventId, attempt: message.info.deliveryCount });
      });
      message.ack();
    } catch {
      giveBack(message);
    }
  }
  return followDurable({
    nats,
    stream: contract.stream,
    name: contract.consumer,
    filterSubject: subjectsOf(eventContract(contract.Moved)),
    concurrency,
    ackWaitMs,
    laneOf: (message) => message.headers?.get("ce-partitionkey") ?? "",
    ready: async () => {},
    settle,
    log,
    clock: systemClock,
  });
}
