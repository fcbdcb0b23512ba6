import { toJson } from "@bufbuild/protobuf";
import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  GetOutboxStatsResponseSchema,
  OutboxAdminService,
  RepublishRangeResponseSchema,
  ResendResponseSchema,
} from "../gen/mesh/admin/v1/outbox_pb.ts";
import { parseCount, parseTime } from "./arguments.ts";
import type { Session } from "./session.ts";
import { WITH_OUTBOX } from "./targets.ts";
import { examples } from "./words.ts";

/** Adds `outbox`: what a service has published or is about to. */
export function addOutbox(program: Command, session: Session): void {
  const outbox = program
    .command("outbox")
    .description("outboxes: what a service has published or is about to");

  outbox
    .command("stats")
    .argument("[service...]", "these alone")
    .description("show what waits in the outboxes, and what the broker refused")
    .addHelpText("after", examples("outbox stats", "outbox stats order --json"))
    .action((services: readonly string[]) => stats(session, services.length > 0 ? services : WITH_OUTBOX));

  outbox
    .command("resend")
    .argument("<service>", "whose outbox")
    .argument("<stream>", "such as EVT_ORDER")
    .argument("<key>", "such as an order's id")
    .description("publish the events of one key again; who has handled them knows them")
    .option("--from <n>", "from this number of the key on", parseCount(1), 1)
    .option("--to <n>", "up to this number of the key", parseCount(1), 0)
    .addHelpText("after", examples("outbox resend order EVT_ORDER my-order --from 2"))
    .action(
      async (service: string, stream: string, key: string, { from, to }: { from: number; to: number }) => {
        const client = session.client(OutboxAdminService, service);
        const answer = await client.resend({ stream, key, fromSeq: from, toSeq: to });
        session.answer(ResendResponseSchema, answer, () =>
          session.say(`${events(answer.events)} of ${key} will be published again`),
        );
      },
    );

  outbox
    .command("republish")
    .argument("<service>", "whose outbox")
    .argument("<stream>", "such as EVT_ORDER")
    .description("publish the events of a time again; who has handled them knows them")
    .requiredOption("--from <when>", "written since (1h, 2026-01-31T12:00Z)", (text) => parseTime(text))
    .option("--to <when>", "and before this; now if not said", (text) => parseTime(text))
    .option("--dry-run", "only say how many they are")
    .addHelpText("after", examples("outbox republish order EVT_ORDER --from 2h --to 1h --dry-run"))
    .action(
      async (
        service: string,
        stream: string,
        { from, to, dryRun }: { from: Date; to?: Date; dryRun?: boolean },
      ) => {
        const client = session.client(OutboxAdminService, service);
        const answer = await client.republishRange({
          stream,
          fromTime: timestampFromDate(from),
          toTime: timestampFromDate(to ?? new Date()),
          dryRun: dryRun === true,
        });
        session.answer(RepublishRangeResponseSchema, answer, () =>
          session.say(
            dryRun
              ? `would publish ${events(answer.events)} again`
              : `${events(answer.events)} will be published again`,
          ),
        );
      },
    );
}

async function stats(session: Session, services: readonly string[]): Promise<void> {
  const answers = await Promise.all(
    services.map(async (service) => {
      const client = session.client(OutboxAdminService, service);
      return { service, answer: await client.getOutboxStats({}) };
    }),
  );
  if (session.isJson) {
    const all = answers.map(({ service, answer }) => ({
      service,
      stats: toJson(GetOutboxStatsResponseSchema, answer, { alwaysEmitImplicit: true }),
    }));
    return session.json(all);
  }
  const rows = answers.flatMap(({ service, answer }) =>
    answer.streams.map((each) => [
      service,
      each.stream,
      String(each.pending),
      each.oldestPendingAge ? `${Math.round(durationMs(each.oldestPendingAge) / 1_000)} s` : "-",
      String(each.quarantined),
    ]),
  );
  session.table(["service", "stream", "pending", "oldest", "refused"], rows, "no streams");
}

function events(count: number | bigint): string {
  return Number(count) === 1 ? "1 event" : `${count} events`;
}
