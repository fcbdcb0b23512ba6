import type { Command } from "commander";
import { ConsumerService, ListConsumersResponseSchema } from "../gen/mesh/admin/v1/consumer_pb.ts";
import type { Session } from "./session.ts";
import { examples } from "./words.ts";

/** Adds `consumers`: how far each is. */
export function addConsumers(program: Command, session: Session): void {
  program
    .command("consumers")
    .description("consumers: what each has still to do, as the broker sees it")
    .option("--service <name>", "of this service alone", "")
    .addHelpText("after", examples("consumers", "consumers --service notification --json"))
    .action(async ({ service }: { service: string }) => {
      const answer = await session.client(ConsumerService).listConsumers({ service });
      session.answer(ListConsumersResponseSchema, answer, () => {
        const heading = ["consumer", "stream", "lag", "pending", "ack pending", "redelivered", "waiting"];
        const rows = answer.consumers.map((each) => [
          each.name,
          each.stream,
          ...[each.lag, each.pending, each.ackPending, each.redelivered, each.waiting].map(String),
        ]);
        session.table(heading, rows, "no consumers");
      });
    });
}
