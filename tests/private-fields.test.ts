import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { isPrivate } from "../mesh/contract/pii.ts";
import { PRIVATE_NAMES } from "../mesh/core/log.ts";
import { ownFiles } from "../tools/contracts/shop-services.ts";

function* fieldsOf({ fields, nestedMessages }: DescMessage): Iterable<DescField> {
  yield* fields;
  for (const inner of nestedMessages) yield* fieldsOf(inner);
}

const fields = (await ownFiles()).flatMap(({ messages }) => messages.flatMap((each) => [...fieldsOf(each)]));

test("what the contracts call personal or secret is written to no log", () => {
  const hidden = fields.filter(isPrivate);
  expect(hidden.map(String)).toContain("field shop.customer.v1.CustomerRegistered.email");
  const shown = hidden.filter(
    ({ name, jsonName }) => !PRIVATE_NAMES.has(name) || !PRIVATE_NAMES.has(jsonName),
  );
  expect(shown.map(String)).toEqual([]);
});
