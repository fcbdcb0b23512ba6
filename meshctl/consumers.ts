import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  ConsumerService,
  ListConsumersResponseSchema,
  PauseConsumerResponseSchema,
  ResumeConsumerResponseSchema,
} from "../gen/mesh/admin/v1/consumer_pb.ts";
import { parseLength } from "./arguments.ts";
import type { Session } from "./session.ts";
import { examples } from "./words.ts";

/** Adds `consumers`: how far each is, and what has one wait. */
export function addConsumers(program: Command, session: Session): void {
  const consumers = program
    .command("consumers")
    .description("consumers: what each has still to do, as the broker sees it")
    .option("--service <name>", "of this service alone", "")
    .addHelpText("after", examples("consumers", "consumers --service notification --json"))
    .action(async ({ service }: { service: string }) => {
      const answer = await session.client(ConsumerService).listConsumers({ service });
      session.answer(ListConsumersResponseSchema, answer, () => {
        const heading = [
          "consumer",
          "stream",
          "lag",
          "pending",
          "ack pending",
          "redelivered",
          "waiting",
          "paused until",
        ];
        const rows = answer.consumers.map((each) => [
          each.name,
          each.stream,
          ...[each.lag, each.pending, each.ackPending, each.redelivered, each.waiting].map(String),
          each.pausedUntil ? timestampDate(each.pausedUntil).toISOString() : "",
        ]);
        session.table(heading, rows, "no consumers");
      });
    });

  consumers
    .command("pause")
    .argument("<consumer>", "its name, as `consumers` shows it")
    .description("have the broker give a consumer nothing for a while; needs nats-server 2.11")
    .requiredOption("--for <time>", "how long, a day at most (90s, 30m, 1h)", parseLength)
    .addHelpText("after", examples("consumers pause notification__orders --for 10m"))
    .action(async (consumer: string, { for: forMs }: { for: number }) => {
      const until = timestampFromMs(Date.now() + forMs);
      const answer = await session.client(ConsumerService).pauseConsumer({ consumer, until });
      session.answer(PauseConsumerResponseSchema, answer, () =>
        session.say(`${consumer} is paused until ${timestampDate(until).toISOString()}`),
      );
    });

  consumers
    .command("resume")
    .argument("<consumer>", "its name, as `consumers` shows it")
    .description("have a consumer that was paused go on")
    .addHelpText("after", examples("consumers resume notification__orders"))
    .action(async (consumer: string) => {
      const answer = await session.client(ConsumerService).resumeConsumer({ consumer });
      session.answer(ResumeConsumerResponseSchema, answer, () => session.say(`${consumer} is not paused`));
    });
}
