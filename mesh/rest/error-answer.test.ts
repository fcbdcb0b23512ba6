import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { toConnectError } from "../rpc/errors.ts";
import { errorAnswer, isAnswerable } from "./error-answer.ts";
import { methodNotAllowed } from "./http-refusal.ts";

const violations = [{ field: "lines[0].quantity", description: "value must be greater than 0" }];
const invalid = refuseByMesh(MeshError.INVALID_REQUEST, "a line is bad", { violations });

test("an error is a google.rpc.Status with its details", async () => {
  const answer = errorAnswer(invalid, null);
  expect(answer.status).toBe(400);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(await answer.json()).toEqual({
    code: 3,
    message: "a line is bad",
    details: [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        reason: "INVALID_REQUEST",
        domain: "mesh.weft",
      },
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        fieldViolations: violations,
      },
    ],
  });
});

test("an error that has come over the wire has the same details", async () => {
  const come = new ConnectError("a line is bad", Code.InvalidArgument);
  come.details = toConnectError(invalid).details.flatMap((detail) =>
    "desc" in detail
      ? { type: detail.desc.typeName, value: toBinary(detail.desc, create(detail.desc, detail.value)) }
      : [],
  );
  expect(come.details).toHaveLength(2);
  expect(await errorAnswer(come, null).json()).toEqual(await errorAnswer(invalid, null).json());
});

test("who prefers problem details gets them, with the reason and the bad fields", async () => {
  const answer = errorAnswer(invalid, "application/problem+json, application/json;q=0.5");
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(await answer.json()).toEqual({
    type: "about:blank",
    title: "Bad Request",
    status: 400,
    detail: "a line is bad",
    code: "INVALID_ARGUMENT",
    reason: "INVALID_REQUEST",
    domain: "mesh.weft",
    metadata: {},
    violations,
  });
});

test("a refusal of HTTP's own keeps its status and its headers", () => {
  const answer = errorAnswer(methodNotAllowed("PUT", "/v1/orders", ["POST"]), null);
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
});

test("when to come back is said in whole seconds", () => {
  const busy = refuseByMesh(MeshError.SHED, "too much to do", { retryDelayMs: 1_200 });
  expect(errorAnswer(busy, null).headers.get("retry-after")).toBe("2");
  expect(errorAnswer(invalid, null).headers.get("retry-after")).toBeNull();
});

test("401 says how to sign in", () => {
  const answer = errorAnswer(new ConnectError("who are you?", Code.Unauthenticated), null);
  expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
});

test("what is nobody's refusal is not to be answered", () => {
  expect(isAnswerable(new TypeError("a bug"))).toBe(false);
  expect(isAnswerable(invalid)).toBe(true);
});
