import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { encoderFor } from "./early-answer.ts";

const { getProduct, watchStock } = ProductService.method;
const BIDI = ServerReflection.method.serverReflectionInfo;

const value = create(ErrorInfoSchema, { reason: "SHED", domain: "mesh.weft" });
const error = new ConnectError("too much ☕", Code.Unavailable, { "grpc-retry-pushback-ms": "50" }, [
  { desc: ErrorInfoSchema, value },
]);

/** What encodes errors for such a request. */
function encoder(
  contentType: string | undefined,
  method: typeof getProduct | typeof watchStock | typeof BIDI = getProduct,
  verb = "POST",
  httpVersionMajor = 2,
) {
  const headers = contentType === undefined ? {} : { "content-type": contentType };
  return encoderFor({ method: verb, headers, httpVersionMajor } as never, method);
}

test.each([
  "application/grpc",
  "application/grpc+json",
  "application/grpc-web",
  "application/grpc-web+proto",
])("in %s an error is headers and no body, in the caller's own content type", (contentType) => {
  expect(encoder(contentType)?.(error)).toMatchObject({
    status: 200,
    headers: {
      "content-type": contentType,
      "grpc-status": "14",
      "grpc-message": "too%20much%20%E2%98%95",
      "grpc-status-details-bin": expect.any(String),
      "grpc-retry-pushback-ms": "50",
    },
    body: undefined,
  });
});

test.each([
  ["application/json", "POST"],
  ["application/proto", "POST"],
  [undefined, "GET"],
])("of a Connect call (%s, %s) it is JSON, and its metadata are headers", (contentType, verb) => {
  const answer = encoder(contentType, getProduct, verb)?.(error);
  expect(answer).toMatchObject({
    status: 503,
    headers: { "content-type": "application/json", "grpc-retry-pushback-ms": "50" },
  });
  expect(JSON.parse(Buffer.from(answer?.body ?? []).toString())).toMatchObject({
    code: "unavailable",
    message: "too much ☕",
    details: [{ type: "google.rpc.ErrorInfo" }],
  });
});

test.each(["application/connect+json", "application/connect+proto"])(
  "of a Connect stream (%s) it is the end of the stream, and its metadata are in there",
  (contentType) => {
    const { status, headers, body = new Uint8Array() } = encoder(contentType, watchStock)?.(error) ?? {};
    expect([status, headers]).toEqual([200, { "content-type": contentType }]);
    const bytes = Buffer.from(body);
    expect([bytes[0], bytes.readUInt32BE(1)]).toEqual([0b10, bytes.length - 5]);
    expect(JSON.parse(bytes.subarray(5).toString())).toMatchObject({
      error: { code: "unavailable", details: [{ type: "google.rpc.ErrorInfo" }] },
      metadata: { "grpc-retry-pushback-ms": ["50"] },
    });
  },
);

test.each([
  ["a page", "text/html", getProduct, "POST"],
  ["another verb", "application/grpc", getProduct, "PUT"],
  ["a GET with a body", "application/json", getProduct, "GET"],
  ["a GET of a stream", undefined, watchStock, "GET"],
  ["a stream's method called as unary", "application/json", watchStock, "POST"],
  ["a unary method called as a stream", "application/connect+json", getProduct, "POST"],
  // Connect's own handlers know base64 bodies, and there only gRPC-Web in text has them.
  ["gRPC-Web in text", "application/grpc-web-text", getProduct, "POST"],
] as const)("%s is no call that could be answered early", (_, contentType, method, verb) => {
  expect(encoder(contentType, method, verb)).toBeUndefined();
});

test("where both sides speak at once there is no such call over HTTP/1.1", () => {
  expect(encoder("application/connect+json", BIDI, "POST", 1)).toBeUndefined();
  expect(encoder("application/connect+json", BIDI)).toBeDefined();
});
