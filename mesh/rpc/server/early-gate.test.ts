import { once } from "node:events";
import { Agent, request as requestHttp1 } from "node:http";
import { connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { currentWork, type Work } from "../../core/work.ts";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { recordingLog } from "../../testing/log.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import type { EarlyRefusal } from "./early-gate.ts";
import type { ServerOptions } from "./server.ts";

const PATH = "/shop.product.v1.ProductService/GetProduct";

/** A server whose event loop is so late that it takes nothing but the most critical. */
async function overloaded(options: Partial<ServerOptions> = {}) {
  const seen: string[] = [];
  const refused: (EarlyRefusal & { readonly work: Work | undefined })[] = [];
  const server = await testServer(
    ProductService,
    {
      getProduct({ productId }) {
        seen.push("handler");
        return { product: { productId } };
      },
      async *watchStock() {
        seen.push("handler");
        yield {};
      },
      async importProducts(rows) {
        seen.push("handler");
        for await (const _ of rows);
        return {};
      },
    },
    {
      admission: { loopDelayMs: () => 600 },
      maxStreams: 0,
      random: () => 0.5,
      telemetry: (next) => (request) => {
        seen.push("stack");
        return next(request);
      },
      onEarlyRefusal: (refusal) => refused.push({ ...refusal, work: currentWork() }),
      ...options,
    },
  );
  return { server, seen, refused };
}

/** What a caller sees of an error, whole. */
function seenOf(error: ConnectError) {
  return {
    code: Code[error.code],
    text: error.rawMessage,
    infos: error
      .findDetails(ErrorInfoSchema)
      .map(({ reason, domain, metadata }) => ({ reason, domain, metadata })),
    pushback: error.metadata.get("grpc-retry-pushback-ms"),
  };
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw error ?? new Error("the call was not refused");
  return error;
}

async function* rows() {
  yield {};
}

const shed = (why: string, pushback: string) => ({
  code: "Unavailable",
  text: "this instance has too much to do; it did not start the call",
  infos: [{ reason: "SHED", domain: "mesh.weft", metadata: { why } }],
  pushback,
});

describe.each(WIRE_PROTOCOLS)("over $name", (protocol) => {
  test("a call that is shed is refused before the stack sees it, with its reason and pushback", async () => {
    const { server, seen } = await overloaded();
    const client = createClient(ProductService, protocol.open(server));
    expect(seenOf(await failureOf(client.getProduct({ productId: "p1" })))).toEqual(
      shed("loop_delay", "600"),
    );
    const streams = shed("streams", "1000");
    expect(seenOf(await failureOf(Array.fromAsync(client.watchStock({ productIds: ["p1"] }))))).toEqual(
      streams,
    );
    expect(seenOf(await failureOf(client.importProducts(rows())))).toEqual(streams);
    expect(seen).toEqual([]);
  });

  test("it is refused in the same words as further in, where its turn did not come", async () => {
    const clock = manualClock();
    const { server, seen } = await overloaded({
      clock,
      admission: { limiter: { limit: () => 1, observe() {} } },
      faults: () => () => new Promise<never>(() => {}),
    });
    const client = createClient(ProductService, protocol.open(server));
    const leaving = new AbortController();
    const running = client.getProduct({ productId: "p1" }, { signal: leaving.signal }).catch(() => {});
    await expect.poll(() => server.state().inflight).toBe(1);
    const waiting = failureOf(client.getProduct({ productId: "p2" }));
    await expect.poll(() => server.state().queued).toBe(1);
    const early = await failureOf(client.getProduct({ productId: "p3" }));
    expect(seen).toEqual(["stack", "stack"]);
    clock.advance(50);
    expect(seenOf(early)).toEqual(shed("full", "50"));
    expect(seenOf(await waiting)).toEqual(shed("waited", "50"));
    leaving.abort();
    await running;
  });

  test("the most critical calls, health and reflection are let in", async () => {
    const { server, seen } = await overloaded();
    const transport = protocol.open(server);
    const headers = { "mesh-criticality": "CRITICAL_PLUS" };
    const call = createClient(ProductService, transport).getProduct({ productId: "p1" }, { headers });
    expect((await call).product?.productId).toBe("p1");
    await createClient(Health, transport).check({});
    expect(seen).toEqual(["stack", "handler", "stack"]);
  });
});

test("who watches the server learns of an early refusal, as the work that the call would have been", async () => {
  const { log, lines } = recordingLog();
  const { server, refused } = await overloaded({ log });
  const client = createClient(ProductService, WIRE_PROTOCOLS[0]?.open(server) as never);
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  await failureOf(client.getProduct({ productId: "p1" }, { headers: { traceparent, "x-request-id": "r1" } }));
  expect(lines).toMatchObject([
    { msg: "call", method: "shop.product.v1.ProductService/GetProduct", code: "Unavailable" },
  ]);
  expect(refused).toHaveLength(1);
  const [{ method, error, header, work } = {} as never] = refused;
  expect(method).toBe(ProductService.method.getProduct);
  expect(error.code).toBe(Code.Unavailable);
  expect(header("traceparent")).toBe(traceparent);
  expect(work).toMatchObject({
    trace: { traceId: "a".repeat(32) },
    requestId: "r1",
    criticality: "CRITICAL",
  });
});

test.each([
  ["grpc-timeout", "0m", "application/grpc"],
  ["grpc-timeout", "0n", "application/grpc+proto"],
  ["grpc-timeout", "0S", "application/grpc-web+proto"],
])("%s: %s is DEADLINE_EXCEEDED at once in %s, its body unread (D5)", async (name, value, contentType) => {
  const { server, seen } = await overloaded({ admission: { loopDelayMs: () => 0 } });
  const { headers, isOneBlock } = await unread(server.url, { "content-type": contentType, [name]: value });
  expect(headers).toMatchObject({ ":status": 200, "content-type": contentType, "grpc-status": "4" });
  expect(isOneBlock).toBe(true);
  expect(seen).toEqual([]);
});

test("connect-timeout-ms: 0 is DEADLINE_EXCEEDED at once, its body unread (D5)", async () => {
  const { server, seen } = await overloaded({ admission: { loopDelayMs: () => 0 } });
  const sent = { "content-type": "application/json", "connect-timeout-ms": "0" };
  const { headers, body } = await unread(server.url, sent);
  expect(headers[":status"]).toBe(504);
  expect(JSON.parse(body)).toMatchObject({
    code: "deadline_exceeded",
    details: [{ debug: { reason: "DEADLINE_EXCEEDED" } }],
  });
  expect(seen).toEqual([]);
});

/** Sends the headers of a call over HTTP/2, and never its body. */
async function unread(url: string, sent: Record<string, string>) {
  const session = connectHttp2(url);
  atEnd(async () => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": PATH, ...sent }, { endStream: false });
  const closed = once(stream, "close");
  const [headers, flags] = (await once(stream, "response")) as [IncomingHttpHeaders, number];
  const body = await text(stream);
  // The server wants no more of it, and does not call it an error.
  await closed;
  return {
    headers,
    body,
    isOneBlock: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
    rstCode: stream.rstCode,
  };
}

test.each([
  ["application/grpc", "application/grpc"],
  ["application/grpc+json", "application/grpc+json"],
  ["application/grpc-web+proto", "application/grpc-web+proto"],
])("a refusal in %s is one block of headers, before any body (S5)", async (sent, answered) => {
  const { server } = await overloaded();
  const { headers, isOneBlock, rstCode, body } = await unread(server.url, { "content-type": sent });
  expect(headers).toMatchObject({
    ":status": 200,
    "content-type": answered,
    "grpc-status": "14",
    "grpc-message": expect.stringMatching(/^this(%20| )instance/),
    "grpc-status-details-bin": expect.stringMatching(/^[A-Za-z0-9+/]+$/),
    "grpc-retry-pushback-ms": "600",
  });
  expect([isOneBlock, body, rstCode]).toEqual([true, "", constants.NGHTTP2_NO_ERROR]);
});

test("a refusal in the Connect protocol comes before any body too (S5)", async () => {
  const { server } = await overloaded();
  const { headers, body } = await unread(server.url, { "content-type": "application/proto" });
  expect(headers).toMatchObject({
    ":status": 503,
    "content-type": "application/json",
    "grpc-retry-pushback-ms": "600",
  });
  expect(JSON.parse(body)).toMatchObject({ code: "unavailable", details: [{ debug: { reason: "SHED" } }] });
});

describe("over HTTP/1.1", () => {
  const post = (port: number, agent: Agent, length: number) =>
    requestHttp1({
      ...{ host: "127.0.0.1", port, agent, path: PATH, method: "POST" },
      headers: { "content-type": "application/json", "content-length": length },
    });

  test("a refusal comes before the body, and the connection is of use again after it (S5)", async () => {
    const { server } = await overloaded();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    atEnd(async () => agent.destroy());
    const sockets = new Set();
    for (let call = 0; call < 3; call++) {
      const request = post(server.port, agent, 18);
      request.flushHeaders();
      const [response] = await once(request, "response");
      expect(response.statusCode).toBe(503);
      expect(response.headers.connection).toBe("keep-alive");
      sockets.add(response.socket);
      request.end('{"productId":"p1"}');
      await text(response);
    }
    expect(sockets.size).toBe(1);
  });

  test("the connection of a body that is too long to read for nothing is closed", async () => {
    const { server } = await overloaded();
    const socket = connect(server.endpoint);
    const answer = text(socket);
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n`,
    );
    expect(await answer).toMatch(/^HTTP\/1\.1 503 .*connection: close/is);
  });

  test("a call by GET is refused in JSON", async () => {
    const { server } = await overloaded();
    const query = `?connect=v1&encoding=json&message=${encodeURIComponent('{"productId":"p1"}')}`;
    const response = await fetch(`${server.url}${PATH}${query}`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      503,
      "unavailable",
    ]);
  });
});

test.each([
  ["POST", "text/plain", 415],
  ["PUT", "application/json", 405],
])("%s of %s is no call, and is told so", async (method, contentType, status) => {
  const { server } = await overloaded();
  const response = await fetch(`${server.url}${PATH}`, {
    method,
    headers: { "content-type": contentType },
    body: "{}",
  });
  expect(response.status).toBe(status);
});
