import { create, toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { type AuditedEvent, AuditedEventSchema } from "../gen/shop/audit/v1/audit_pb.ts";
import { AuditService, ListEventsResponseSchema } from "../gen/shop/audit/v1/audit_service_pb.ts";
import { parseCount, parseTime } from "./arguments.ts";
import type { Session } from "./session.ts";
import { examples, lastPart, shownPayload } from "./words.ts";

interface EventOptions {
  readonly type?: string;
  readonly key?: string;
}

/** Adds `events`: what every service has announced. */
export function addEvents(program: Command, session: Session): void {
  const events = program.command("events").description("events: what the services have announced");

  withFilter(events.command("ls"))
    .description("list events, the latest first")
    .option("--since <when>", "not before this (1h, 2026-01-31T12:00Z)", (text) => parseTime(text))
    .option("--limit <n>", "how many at most", parseCount(1), 50)
    .addHelpText(
      "after",
      examples("events ls --type OrderPlaced --since 1h", "events ls --key my-order --json"),
    )
    .action((options: EventOptions & { since?: Date; limit: number }) => list(session, options));

  withFilter(events.command("tail"))
    .description("show each event as it comes, until Ctrl-C")
    .option("--limit <n>", "end after so many", parseCount(1))
    .addHelpText("after", examples("events tail", "events tail --type OrderPlaced --json"))
    .action((options: EventOptions & { limit?: number }) => tail(session, options));

  events
    .command("show")
    .argument("<event_id>")
    .description("show one event")
    .addHelpText("after", examples("events show 019a8e2c-7d52-7000-8000-000000000000"))
    .action(async (eventId: string) => {
      const { event } = await session.client(AuditService).getEvent({ eventId });
      if (event) session.answer(AuditedEventSchema, event, () => show(session, event));
    });
}

function withFilter(command: Command): Command {
  return command
    .option("--type <type>", "of this type: its full name or the last part (OrderPlaced)")
    .option("--key <key>", "of this key, such as an order's id");
}

async function list(
  session: Session,
  { type = "", key = "", since, limit }: EventOptions & { since?: Date; limit: number },
): Promise<void> {
  const client = session.client(AuditService);
  const request = { filter: { type, key }, ...(since && { since: timestampFromDate(since) }) };
  const events: AuditedEvent[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(limit - events.length, 100);
    const page = await client.listEvents({ ...request, pageSize, pageToken });
    events.push(...page.events);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && events.length < limit);

  const answer = create(ListEventsResponseSchema, { events, nextPageToken: pageToken });
  session.answer(ListEventsResponseSchema, answer, () => {
    const rows = events.map((event) => [
      timeOf(event),
      lastPart(event.type),
      event.key,
      String(event.keySeq),
      event.eventId,
    ]);
    session.table(["at", "type", "key", "#", "id"], rows, "no events");
    if (pageToken !== "") session.remark(`there are more; --limit shows more than ${limit}`);
  });
}

async function tail(
  session: Session,
  { type = "", key = "", limit = Number.POSITIVE_INFINITY }: EventOptions & { limit?: number },
): Promise<void> {
  const stop = new AbortController();
  const client = session.client(AuditService);
  let shown = 0;
  for await (const { event } of client.watchEvents({ filter: { type, key } }, { signal: stop.signal })) {
    if (!event) continue;
    if (session.isJson) session.json(toJson(AuditedEventSchema, event, { alwaysEmitImplicit: true }));
    else session.say(`${timeOf(event)}  ${lastPart(event.type)}  ${event.key}  ${oneLine(event)}`);
    if (++shown >= limit) break;
  }
  // The server is told by the signal only.
  stop.abort();
}

function show(session: Session, event: AuditedEvent): void {
  session.say(`${event.type}, key ${event.key || "-"}, number ${event.keySeq} of its key`);
  session.say(`published by ${event.source} at ${timeOf(event)}`);
  session.say(`${event.stream} ${event.streamSeq}, ${event.subject}`);
  session.say(`begun by ${event.correlationId}, caused by ${event.causationId}`);
  session.say(shownPayload(event.payload));
}

function oneLine({ payload }: AuditedEvent): string {
  return payload.case === "content" ? JSON.stringify(payload.value) : shownPayload(payload);
}

function timeOf({ eventTime }: AuditedEvent): string {
  return eventTime ? timestampDate(eventTime).toISOString() : "";
}
