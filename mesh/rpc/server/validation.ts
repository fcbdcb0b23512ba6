import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import type { AppError, FieldViolation } from "../../core/errors.ts";
import { unstorableTexts } from "./unstorable-text.ts";

const validator = createValidator();

/** What is wrong with a message, by the rules of its contract, and which text could not be kept. Empty if nothing is. */
export function violationsOf(schema: DescMessage, message: Message): readonly FieldViolation[] {
  const result = validator.validate(schema, message);
  if (result.kind === "error") throw result.error;
  const unstorable = unstorableTexts(schema, message);
  if (!result.violations?.length) return unstorable;
  const broken = result.violations.map((violation) => ({
    field: pathToString(violation.field),
    description: violation.message,
  }));
  return [...broken, ...unstorable];
}

/** The refusal of a request, INVALID_ARGUMENT, that names every bad field. */
export function invalidRequest(violations: readonly FieldViolation[]): AppError {
  const text = violations.map((v) => (v.field ? `${v.field}: ${v.description}` : v.description)).join("; ");
  return refuseByMesh(MeshError.INVALID_REQUEST, text, { violations });
}

/** Refuses a request, or a message of a stream of requests, that breaks a rule of its contract. */
export function validateRequests(): Interceptor {
  return (next) => (request) => {
    const { input } = request.method;
    if (request.stream) return next({ ...request, message: checked(input, request.message) });
    check(input, request.message);
    return next(request);
  };
}

async function* checked(schema: DescMessage, messages: AsyncIterable<Message>) {
  for await (const message of messages) {
    check(schema, message);
    yield message;
  }
}

function check(schema: DescMessage, message: Message): void {
  const violations = violationsOf(schema, message);
  if (violations.length > 0) throw invalidRequest(violations);
}
