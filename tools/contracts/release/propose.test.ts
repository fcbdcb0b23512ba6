import { create, fromJson } from "@bufbuild/protobuf";
import { durationFromMs, FieldOptionsSchema } from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as rulesOption,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../../gen/google/api/http_pb.ts";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import {
  type Editor,
  editedContracts,
  editOption,
  remove,
  setOption,
  textField,
} from "../../../mesh/testing/edited-contracts.ts";
import { propose } from "./propose.ts";
import { parseVersion, textOf } from "./version.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const before = editedContracts();
const proposed = (edit: (editor: Editor) => void, breaking: string[] = []) => {
  const { level, version, reasons } = propose(parseVersion("0.3.0"), before, editedContracts(edit), breaking);
  return { level, version: textOf(version), ...reasons };
};

test("nothing changed: nothing to release", () => {
  expect(proposed(() => {})).toEqual({ level: "none", version: "0.3.0", major: [], minor: [], patch: [] });
});

test("what buf objects to makes a major, whatever else there is", () => {
  const edit = ({ message }: Editor) => remove(message("shop.order.v1.Order").field, "cancel_reason");
  expect(proposed(edit, ["order.proto:1:1:a field was deleted"])).toEqual({
    level: "major",
    version: "1.0.0",
    major: ["order.proto:1:1:a field was deleted"],
    minor: [],
    patch: ["no more field shop.order.v1.Order.cancel_reason"],
  });
});

test("something new makes a minor; what is new within it needs no mention", () => {
  const edit = ({ file, message }: Editor) => {
    file("shop/order/v1/order.proto").messageType.push({
      ...message("shop.order.v1.GetOrderRequest"),
      name: "Parcel",
    });
    message("shop.order.v1.Order").field.push(textField("parcel_id", 900));
  };
  expect(proposed(edit)).toEqual({
    level: "minor",
    version: "0.4.0",
    major: [],
    minor: ["new message shop.order.v1.Parcel", "new field shop.order.v1.Order.parcel_id"],
    patch: [],
  });
});

test("a new route, a deprecation and a looser rule are minors too", () => {
  expect(
    proposed(({ method }) =>
      editOption(method(GET), http, (rule) => {
        rule.additionalBindings.push(
          create(HttpRuleSchema, { pattern: { case: "get", value: "/v1/o/{order_id}" } }),
        );
      }),
    ),
  ).toMatchObject({ level: "minor", minor: ["new route GET /v1/o/{order_id}"], patch: [] });
  expect(
    proposed(({ field }) => {
      field("shop.order.v1.Order.customer_id").options = create(FieldOptionsSchema, { deprecated: true });
    }),
  ).toMatchObject({ level: "minor", minor: ["deprecated field shop.order.v1.Order.customer_id"] });
  expect(
    proposed(({ field }) =>
      setOption(
        field("shop.review.v1.CreateReviewRequest.title"),
        rulesOption,
        fromJson(FieldRulesSchema, { string: { maxLen: 300 } }),
      ),
    ),
  ).toMatchObject({
    level: "minor",
    minor: [
      "more requests are valid: field shop.review.v1.CreateReviewRequest.title: max_len is 300, was 200",
    ],
  });
});

test("another policy is a patch", () => {
  const edit = ({ method }: Editor) =>
    editOption(method(GET), policy, (its) => {
      its.timeout = durationFromMs(9_000);
    });
  expect(proposed(edit)).toEqual({
    level: "patch",
    version: "0.3.1",
    major: [],
    minor: [],
    patch: [`other options of RPC ${GET}`],
  });
});
