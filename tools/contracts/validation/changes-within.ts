import type { DescMessage } from "@bufbuild/protobuf";
import type { Contracts } from "../plugin/contracts.ts";
import { compareMessages, isEntered, type ValidationChange } from "./compare-messages.ts";

/** How validation changes for these messages and all that they hold, each message once. */
export function* changesWithin(
  roots: readonly DescMessage[],
  before: Contracts,
  now: Contracts,
): Generator<ValidationChange> {
  for (const is of reached(roots)) {
    const was = before.registry.getMessage(is.typeName);
    if (was) yield* compareMessages(was, is, now.registry);
  }
}

function reached(roots: readonly DescMessage[]): Set<DescMessage> {
  const found = new Set<DescMessage>();
  const visit = (message: DescMessage) => {
    if (found.has(message)) return;
    found.add(message);
    for (const field of message.fields) if (field.message && isEntered(field)) visit(field.message);
  };
  for (const root of roots) visit(root);
  return found;
}
