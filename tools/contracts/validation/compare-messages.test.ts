import { create } from "@bufbuild/protobuf";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import {
  type Editor,
  editedContracts,
  editOption,
  setOption,
} from "../../../mesh/testing/edited-contracts.ts";
import { compareMessages } from "./compare-messages.ts";

/** How validation of a message changes with an edit. */
function changes(name: string, edit: (editor: Editor) => void): string[] {
  const [before, now] = [editedContracts(), editedContracts(edit)];
  const [was, is] = [before, now].map(({ registry }) => registry.getMessage(name));
  if (!was || !is) throw new Error(`there is no ${name}`);
  return [...compareMessages(was, is, now.registry)].map((change) => `${change.is}: ${change.what}`);
}

const RESEND = "mesh.admin.v1.ResendRequest";
const SELECTION = "mesh.admin.v1.DeadLetterSelection";
const UPDATE = "shop.product.v1.UpdateProductRequest";

test("nothing changes if nothing is edited", () => {
  for (const name of [RESEND, SELECTION, UPDATE]) expect(changes(name, () => {})).toEqual([]);
});

test("rules of the message as a whole", () => {
  const found = changes(RESEND, ({ message }) =>
    editOption(message(RESEND), validation.message, (rules) => {
      rules.cel = [];
      rules.oneof = [create(validation.MessageOneofRuleSchema, { fields: ["key", "stream"] })];
    }),
  );
  expect(found).toEqual([
    "tighter: it has the rule at most one of key, stream",
    "looser: it has no more the rule this.to_seq == 0 || this.to_seq >= this.from_seq",
  ]);
});

test("a oneof of which one is required", () => {
  const found = changes(SELECTION, ({ message }) => {
    for (const oneof of message(SELECTION).oneofDecl)
      editOption(oneof, validation.oneof, (rules) => {
        rules.required = false;
      });
  });
  expect(found).toEqual(["looser: none of its fields is required any more"]);
});

test("a message whose rules were ignored, and are not any more", () => {
  const found = changes(UPDATE, ({ field }) =>
    setOption(field(`${UPDATE}.product`), validation.field, create(validation.FieldRulesSchema)),
  );
  expect(found).toEqual(["tighter: the rules of Product are enforced in it"]);
});
