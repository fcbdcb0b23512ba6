import { type DescField, type DescMethod, getOption, ScalarType } from "@bufbuild/protobuf";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { methodName, methodOptions, methodPolicy } from "../../../mesh/contract/policy.ts";
import { methodsOf } from "../plugin/contracts.ts";
import type { Finding, LintRule } from "../plugin/rule.ts";

const NAME = "request_id";

/**
 * A key is called request_id everywhere, so that callers, gateways and logs know it; and whoever sees a request_id in a
 * request may rely on it.
 */
export const rule: LintRule = {
  id: "MESH_REQUEST_ID_IS_KEY",
  purpose:
    "Checks that idempotency keys are called request_id and bounded, and that every request_id is a key.",
  *check(contracts) {
    for (const method of methodsOf(contracts)) yield* ofMethod(method);
  },
};

function* ofMethod(method: DescMethod): Generator<Finding> {
  const name = methodName(method);
  const { idempotencyKeyField: key } = methodOptions(method);
  const field = method.input.fields.find((each) => each.name === NAME);
  if (key !== "" && key !== NAME) {
    const message = `${name} calls its idempotency key ${key}; it must be called ${NAME}.`;
    yield { at: method, option: policy, message };
  }
  if (!field) return;
  if (key !== NAME && !methodPolicy(method).isIdempotent) {
    const message = `${name} takes a ${NAME}, so it must state idempotency_key_field: "${NAME}".`;
    yield { at: method, option: policy, message };
  }
  if (!isBounded(field)) {
    const message = `${field.parent.typeName}.${NAME} must be a text whose length a max_len or a pattern bounds: it is kept.`;
    yield { at: field, option: validation.field, message };
  }
}

function isBounded(field: DescField): boolean {
  if (field.fieldKind !== "scalar" || field.scalar !== ScalarType.STRING) return false;
  const { type } = getOption(field, validation.field);
  return (
    type.case === "string" &&
    (type.value.maxLen > 0n || type.value.maxBytes > 0n || type.value.pattern !== "")
  );
}
