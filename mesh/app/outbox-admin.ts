import { durationFromMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import type { Log } from "../core/log.ts";
import {
  type OutboxStats,
  outboxBytes,
  outboxStats,
  type Quarantined,
  quarantine,
} from "../events/outbox-stats.ts";
import type { Relay } from "../events/relay.ts";
import { countRange, liftQuarantine, republishRange, resend } from "../events/resend.ts";
import type { Operators } from "../rpc/server/operators.ts";
import type { Sql } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";

/** The outbox that operators look at and change. */
export interface AdministeredOutbox {
  readonly instance: string;
  readonly sql: Sql;
  /** The relays by their streams, which are all that the service publishes to. */
  readonly relays: ReadonlyMap<string, Relay>;
  readonly operators: Operators;
  readonly log: Log;
}

const QUARANTINE_SHOWN = 20;
const MOST_REPUBLISHED = 50_000;

/** The RPCs of OutboxAdminService. */
export function outboxAdminService(parts: AdministeredOutbox): ServiceImpl<typeof OutboxAdminService> {
  const { instance, sql, relays, operators, log } = parts;

  function assertPublished(stream: string): void {
    if (relays.has(stream)) return;
    const streams = [...relays.keys()].join(", ");
    throw refuseByMesh(MeshError.STREAM_NOT_FOUND, `${instance} publishes to ${streams}, not to ${stream}`);
  }

  async function streamMessage(stats: OutboxStats) {
    const { stream, pending, oldestPendingAgeMs, quarantined, lastStreamSeq } = stats;
    const shown = quarantined > 0 ? await quarantine(sql, stream, QUARANTINE_SHOWN) : [];
    return {
      stream,
      leads: relays.get(stream)?.leads() === true,
      pending: BigInt(pending),
      ...(oldestPendingAgeMs !== undefined && { oldestPendingAge: durationFromMs(oldestPendingAgeMs) }),
      lastStreamSeq: BigInt(lastStreamSeq),
      quarantined: BigInt(quarantined),
      quarantine: shown.map(quarantinedMessage),
    };
  }

  return {
    async getOutboxStats(_, { requestHeader }) {
      operators.assertOperator(requestHeader);
      const [stats, bytes] = await Promise.all([outboxStats(sql, [...relays.keys()]), outboxBytes(sql)]);
      const streams = await Promise.all(stats.map(streamMessage));
      return { instance, streams, tableBytes: BigInt(bytes) };
    },

    async resend({ stream, key, fromSeq, toSeq }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      assertPublished(stream);
      const range = { stream, key, fromSeq, toSeq: toSeq || undefined };
      const resent = await transaction(sql, (tx) => resend(tx, range));
      if (!resent)
        throw refuseByMesh(MeshError.EVENT_NOT_FOUND, `the outbox does not hold these events of ${stream}`);
      log.warn({ ...range, ...resent }, "events are sent again");
      return resent;
    },

    async republishRange({ stream, fromTime, toTime, dryRun }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      assertPublished(stream);
      if (!fromTime || !toTime) throw new Error("the contract requires both");
      const range = { stream, from: timestampDate(fromTime), to: timestampDate(toTime) };
      const events = await transaction(sql, async (tx) => {
        const count = await countRange(tx, range);
        if (dryRun) return count;
        if (count > MOST_REPUBLISHED)
          throw refuseByMesh(
            MeshError.TOO_MANY_EVENTS,
            `these are ${count} events; one call publishes ${MOST_REPUBLISHED} again`,
            { metadata: { events: String(count), most: String(MOST_REPUBLISHED) } },
          );
        return republishRange(tx, range);
      });
      if (!dryRun) log.warn({ ...range, events }, "events are published again");
      return { events: BigInt(events) };
    },

    async liftQuarantine({ stream, eventId }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      assertPublished(stream);
      const lifted = { stream, eventId: eventId || undefined };
      const events = await transaction(sql, (tx) => liftQuarantine(tx, lifted));
      if (events === 0 && eventId)
        throw refuseByMesh(MeshError.EVENT_NOT_FOUND, `${eventId} is not in quarantine`);
      log.warn({ ...lifted, events }, "quarantined events are tried again");
      return { events };
    },
  };
}

function quarantinedMessage({ eventId, type, key, keySeq, error, failedAt }: Quarantined) {
  return {
    eventId,
    type,
    key: key ?? "",
    keySeq: keySeq ?? 0,
    error,
    quarantineTime: timestampFromDate(failedAt),
  };
}
