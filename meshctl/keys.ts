import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  CustomerService,
  RotateSigningKeysResponseSchema,
} from "../gen/shop/customer/v1/customer_service_pb.ts";
import { parseLength } from "./arguments.ts";
import type { Session } from "./session.ts";
import { examples } from "./words.ts";

/** Adds `keys`: what tokens are signed with. */
export function addKeys(program: Command, session: Session): void {
  program
    .command("keys")
    .description("keys: what the tokens of people are signed with")
    .command("rotate")
    .description("have another key sign; tokens that are out stay good until they end")
    .option(
      "--after <length>",
      "how long from now (10s to 1d); who checks tokens reads the key meanwhile",
      parseLength,
    )
    .addHelpText("after", examples("keys rotate", "keys rotate --after 10s"))
    .action(async ({ after }: { after?: number }) => {
      const client = session.client(CustomerService, "customer");
      const answer = await client.rotateSigningKeys(
        after === undefined ? {} : { signAfter: durationFromMs(after) },
      );
      session.answer(RotateSigningKeysResponseSchema, answer, () => {
        const from = answer.signTime ? timestampDate(answer.signTime).toISOString() : "now";
        session.say(`key ${answer.kid} signs from ${from} on`);
      });
    });
}
