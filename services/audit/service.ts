import type { Registry } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuditService, EventFilter as FilterMessage } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { systemClock } from "../../mesh/core/clock.ts";
import type { Operators } from "../../mesh/rpc/server/operators.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { type EventFilter, eventNotFound, type Place, type StoredEvent } from "./audit.ts";
import { toMessage } from "./messages.ts";
import { eventsAfter, findEvent, lastPlace, listEvents } from "./store.ts";

/** What the RPCs work with. */
export interface AuditServiceParts {
  readonly sql: Sql;
  /** The messages that can be read. */
  readonly contracts: Registry;
  readonly operators: Operators;
}

const LOOK_EVERY_MS = 250;
const AT_ONCE = 100;

/** The RPCs of AuditService. */
export function auditService({
  sql,
  contracts,
  operators,
}: AuditServiceParts): ServiceImpl<typeof AuditService> {
  /** Each event that is written down from now on. Those of other processes too, so it looks rather than listens. */
  async function* follow(filter: EventFilter, signal: AbortSignal): AsyncGenerator<StoredEvent> {
    let place: Place = await lastPlace(sql);
    while (!signal.aborted) {
      const found = await eventsAfter(sql, filter, place, AT_ONCE);
      yield* found;
      place = found.at(-1)?.place ?? place;
      if (found.length < AT_ONCE) await systemClock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  return {
    async listEvents({ filter, since, pageSize: asked, pageToken }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      const [after] = readPageToken(pageToken, 1, isEventId) ?? [];
      const size = pageSize(asked);
      const found = await listEvents(sql, {
        ...toFilter(filter),
        since: since ? timestampDate(since) : new Date(0),
        after,
        limit: size + 1,
      });
      const [events, nextPageToken] = cutPage(found, size, (event) => [event.eventId]);
      return { events: events.map((event) => toMessage(contracts, event)), nextPageToken };
    },

    async getEvent({ eventId }, { requestHeader }) {
      operators.assertOperator(requestHeader);
      const found = await findEvent(sql, eventId);
      if (!found) throw eventNotFound(eventId);
      return { event: toMessage(contracts, found) };
    },

    async *watchEvents({ filter }, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      for await (const event of follow(toFilter(filter), signal))
        yield { event: toMessage(contracts, event) };
    },
  };
}

function isEventId(part: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(part);
}

function toFilter(filter: FilterMessage | undefined): EventFilter {
  return { type: filter?.type ?? "", key: filter?.key ?? "" };
}
