import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { GetProductResponseSchema, ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../testing/at-end.ts";
import { testServer } from "../testing/server.ts";
import { tcpProxy } from "../testing/tcp-proxy.ts";
import { anyEndpoint } from "./any-endpoint.ts";
import { meshClient, openTarget } from "./client.ts";
import { NotSentError } from "./not-sent.ts";
import { type Endpoint, PROTOCOLS, type Protocol } from "./target.ts";
import type { ClosableTransport } from "./transport.ts";

/** A transport that notes its calls, and fails those that it is told to. */
function scripted(name: string, calls: string[], failWith?: () => Error): ClosableTransport {
  const called = (kind: string) => {
    calls.push(`${name} ${kind}`);
    if (failWith) throw failWith();
  };
  return {
    async unary(method) {
      called("unary");
      const message = create(GetProductResponseSchema) as never;
      return {
        stream: false,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message,
      };
    },
    async stream() {
      called("stream");
      throw new Error("the test asks for no answers");
    },
    close: () => void calls.push(`${name} close`),
  };
}

const unavailable = (cause?: Error) => () =>
  new ConnectError("gone", Code.Unavailable, undefined, undefined, cause);
const notSent = unavailable(new NotSentError("nobody listens"));

test("calls go to the endpoints in turn", async () => {
  const calls: string[] = [];
  const client = meshClient(ProductService, anyEndpoint([scripted("a", calls), scripted("b", calls)]));
  for (let i = 0; i < 4; i++) await client.getProduct({ productId: "p1" });
  expect(calls).toEqual(["a unary", "b unary", "a unary", "b unary"]);
});

test("a call that could not be sent goes to the next endpoint", async () => {
  const calls: string[] = [];
  const target = anyEndpoint([
    scripted("a", calls, notSent),
    scripted("b", calls, notSent),
    scripted("c", calls),
  ]);
  await meshClient(ProductService, target).getProduct({ productId: "p1" });
  expect(calls).toEqual(["a unary", "b unary", "c unary"]);
});

test("when no endpoint takes it, it fails after each was asked once", async () => {
  const calls: string[] = [];
  const target = anyEndpoint([scripted("a", calls, notSent), scripted("b", calls, notSent)]);
  const call = meshClient(ProductService, target).getProduct({ productId: "p1" });
  await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
  expect(calls).toEqual(["a unary", "b unary"]);
});

test("a call that may have been sent is not repeated", async () => {
  const calls: string[] = [];
  const target = anyEndpoint([scripted("a", calls, unavailable()), scripted("b", calls)]);
  const call = meshClient(ProductService, target).getProduct({ productId: "p1" });
  await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
  expect(calls).toEqual(["a unary"]);
});

test("a stream is not sent twice, because what it asks can be read once only", async () => {
  const calls: string[] = [];
  const target = anyEndpoint([scripted("a", calls, notSent), scripted("b", calls)]);
  const answers = meshClient(ProductService, target)
    .watchStock({ productIds: ["p1"] })
    [Symbol.asyncIterator]();
  await expect(answers.next()).rejects.toMatchObject({ code: Code.Unavailable });
  expect(calls).toEqual(["a stream"]);
});

test("close closes every endpoint", () => {
  const calls: string[] = [];
  anyEndpoint([scripted("a", calls), scripted("b", calls)]).close();
  expect(calls).toEqual(["a close", "b close"]);
});

describe.each(PROTOCOLS)("over %s", (protocol: Protocol) => {
  const clientOf = (...endpoints: Endpoint[]) => {
    const target = openTarget({ endpoints, protocol });
    atEnd(async () => target.close());
    return meshClient(ProductService, target);
  };

  /** A server that notes its calls and answers, or does what it is told to. */
  async function counting(handle: () => object | Promise<object> = () => ({})) {
    const calls: string[] = [];
    const server = await testServer(ProductService, {
      getProduct({ productId }) {
        calls.push(productId);
        return handle();
      },
    });
    return { ...server, calls };
  }

  test("where nobody listens, the next instance takes the call", async () => {
    const gone = await testServer(ProductService, {});
    await gone.stop(0);
    const here = await counting();
    const client = clientOf(gone.endpoint, here.endpoint);
    for (const productId of ["p1", "p2", "p3"]) await client.getProduct({ productId });
    expect(here.calls).toEqual(["p1", "p2", "p3"]);
  });

  test("an instance that dies with the call does not hand it to the next one", async () => {
    const begun = Promise.withResolvers<void>();
    const dying = await counting(() => {
      begun.resolve();
      return new Promise<never>(() => {});
    });
    const next = await counting();
    const proxy = await tcpProxy(dying.endpoint);
    const refused = expect(
      clientOf(proxy.endpoint, next.endpoint).getProduct({ productId: "p1" }),
    ).rejects.toMatchObject({ code: Code.Unavailable });
    await begun.promise;
    proxy.cut("RST");
    await refused;
    expect([dying.calls, next.calls]).toEqual([["p1"], []]);
  });

  test("what an instance says of its own troubles does not pass for a call that was not sent", async () => {
    const busy = await counting(() => {
      throw new ConnectError("No connection established: connect ECONNREFUSED", Code.Unavailable);
    });
    const next = await counting();
    const call = clientOf(busy.endpoint, next.endpoint).getProduct({ productId: "p1" });
    await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
    expect([busy.calls, next.calls]).toEqual([["p1"], []]);
  });
});
