import { constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, expect, test, vi } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../../testing/at-end.ts";
import { transportSuite } from "../../testing/transport-suite.ts";
import { grpcJsTransport } from "./transport-grpc-js.ts";

transportSuite("grpc-js", grpcJsTransport, { bidi: true });

const TIMEOUT_MS = 60_000;
const { getProduct, watchStock } = ProductService.method;

afterEach(() => void vi.useRealTimers());

/** A way to a server that resets each stream with CANCEL, when so many milliseconds of its time have passed. */
async function cancelled(afterMs: number) {
  const server = createServer().on("stream", (stream) => {
    stream.on("error", () => {});
    vi.setSystemTime(Date.now() + afterMs);
    stream.close(constants.NGHTTP2_CANCEL);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => void server.close());
  const { port } = server.address() as AddressInfo;
  const transport = grpcJsTransport(
    { host: "127.0.0.1", port },
    { interceptors: [], maxMessageBytes: 2 ** 22 },
  );
  atEnd(async () => transport.close());
  vi.useFakeTimers({ toFake: ["Date"] });
  return transport;
}

test.each([
  [0, Code.Canceled],
  [TIMEOUT_MS - 1, Code.DeadlineExceeded],
])("a stream that its server resets after %i of 60,000 ms ends with code %i", async (afterMs, code) => {
  const transport = await cancelled(afterMs);
  const refused = await transport
    .unary(getProduct, undefined, TIMEOUT_MS, undefined, { productId: "p1" })
    .catch(ConnectError.from);
  expect(refused).toMatchObject({ code });
});

test.each([
  [0, Code.Canceled],
  [TIMEOUT_MS - 1, Code.DeadlineExceeded],
])("so it is if the call streams: after %i ms it ends with code %i", async (afterMs, code) => {
  const transport = await cancelled(afterMs);
  const refused = await transport
    .stream(
      watchStock,
      undefined,
      TIMEOUT_MS,
      undefined,
      (async function* () {
        yield { productIds: ["p1"] };
      })(),
    )
    .then(({ message }) => Array.fromAsync(message))
    .catch(ConnectError.from);
  expect(refused).toMatchObject({ code });
});
