import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  decodeBinaryHeader,
  encodeBinaryHeader,
  type Interceptor,
} from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import type { Endpoint } from "../discovery/target.ts";
import { meshClient } from "../rpc/client/client.ts";
import type { ClosableTransport, TransportOptions } from "../rpc/client/transport.ts";
import { type TestServer, testServer } from "./server.ts";
import { type Death, tcpProxy } from "./tcp-proxy.ts";

/** What not every transport can do. */
export interface TransportFeatures {
  /** Both sides of a call may speak at the same time. */
  readonly bidi: boolean;
}

/** Opens a transport to one endpoint. */
export type OpenTransport = (endpoint: Endpoint, options: TransportOptions) => ClosableTransport;

const BYTES = Uint8Array.of(0, 44, 255, 61, 10);
const DEATHS: readonly Death[] = ["FIN", "RST"];

/** What every transport promises, whatever it speaks. Describes the tests; call it at the top of a test file. */
export function transportSuite(name: string, open: OpenTransport, features: TransportFeatures): void {
  function opened(endpoint: Endpoint, options: Partial<TransportOptions> = {}): ClosableTransport {
    const transport = open(endpoint, { interceptors: [], maxMessageBytes: 2 ** 22, ...options });
    onTestFinished(() => transport.close());
    return transport;
  }
  const clientOf = (endpoint: Endpoint, options?: Partial<TransportOptions>) =>
    meshClient(ProductService, opened(endpoint, options));

  describe(`${name}: calls`, () => {
    test("one question, one answer", async () => {
      const server = await testServer(ProductService, {
        getProduct: ({ productId }) => ({ product: { productId, name: "Bohnen, geröstet ☕" } }),
      });
      const { product } = await clientOf(server.endpoint).getProduct({ productId: "p1" });
      expect(product).toMatchObject({ productId: "p1", name: "Bohnen, geröstet ☕" });
    });

    test("many questions, one answer", async () => {
      const server = await testServer(ProductService, {
        async importProducts(rows) {
          let createdCount = 0;
          for await (const { product } of rows) createdCount += product?.availableStock ?? 0;
          return { createdCount };
        },
      });
      async function* rows() {
        for (let i = 1; i <= 100; i++) yield { product: { availableStock: i } };
      }
      expect(await clientOf(server.endpoint).importProducts(rows())).toMatchObject({ createdCount: 5050 });
    });

    test("one question, many answers, in their order", async () => {
      const server = await testServer(ProductService, {
        async *watchStock({ productIds }) {
          for (let availableStock = 0; availableStock < 100; availableStock++) {
            yield { productId: productIds[0] ?? "", availableStock };
          }
        },
      });
      const seen: number[] = [];
      for await (const { availableStock } of clientOf(server.endpoint).watchStock({ productIds: ["p1"] })) {
        seen.push(availableStock);
      }
      expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
    });

    test("an answer arrives before the next one is made", async () => {
      const next = Promise.withResolvers<void>();
      const server = await testServer(ProductService, {
        async *watchStock() {
          yield { productId: "p1" };
          await next.promise;
          yield { productId: "p2" };
        },
      });
      const seen: string[] = [];
      for await (const { productId } of clientOf(server.endpoint).watchStock({ productIds: ["p1"] })) {
        seen.push(productId);
        next.resolve();
      }
      expect(seen).toEqual(["p1", "p2"]);
    });

    test.runIf(features.bidi)("question and answer in turns", async () => {
      const server = await testServer(ProductService, {});
      const client = meshClient(ServerReflection, opened(server.endpoint));
      const answered = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      async function* questions() {
        yield { host: "first" };
        await answered[0]?.promise;
        yield { host: "second" };
        await answered[1]?.promise;
      }
      const hosts: string[] = [];
      for await (const { validHost } of client.serverReflectionInfo(questions())) {
        hosts.push(validHost);
        answered[hosts.length - 1]?.resolve();
      }
      expect(hosts).toEqual(["first", "second"]);
    });

    test.runIf(!features.bidi)(
      "question and answer in turns is refused, rather than left hanging",
      async () => {
        const server = await testServer(ProductService, {});
        const client = meshClient(ServerReflection, opened(server.endpoint));
        async function* questions() {
          yield { host: "first" };
        }
        const answers = client.serverReflectionInfo(questions())[Symbol.asyncIterator]();
        await expect(answers.next()).rejects.toBeInstanceOf(ConnectError);
      },
    );

    test("the first interceptor is the outermost", async () => {
      const order: string[] = [];
      const named =
        (which: string): Interceptor =>
        (next) =>
        async (request) => {
          order.push(`${which} in`);
          const response = await next(request);
          order.push(`${which} out`);
          return response;
        };
      const server = await testServer(ProductService, { getProduct: () => ({}) });
      const interceptors = [named("first"), named("second")];
      await clientOf(server.endpoint, { interceptors }).getProduct({ productId: "p1" });
      expect(order).toEqual(["first in", "second in", "second out", "first out"]);
    });
  });

  describe(`${name}: headers and trailers`, () => {
    /** Answers what it was asked, in headers and trailers, text and bytes. */
    const echo = () =>
      testServer(ProductService, {
        getProduct(_, { requestHeader, responseHeader, responseTrailer }) {
          copy(requestHeader, responseHeader, responseTrailer);
          return {};
        },
        async *watchStock(_, { requestHeader, responseHeader, responseTrailer }) {
          copy(requestHeader, responseHeader, responseTrailer);
          yield {};
        },
      });
    function copy(asked: Headers, header: Headers, trailer: Headers) {
      header.set("x-text", `header of ${asked.get("x-text")}`);
      trailer.set("x-text-end", `trailer of ${asked.get("x-text")}`);
      header.set("x-raw-bin", asked.get("x-raw-bin") ?? "");
      trailer.set("x-raw-end-bin", asked.get("x-raw-bin") ?? "");
    }
    const headers = { "x-text": "a text", "x-raw-bin": encodeBinaryHeader(BYTES) };
    function expectEcho(header: Headers | undefined, trailer: Headers | undefined) {
      expect(header?.get("x-text")).toBe("header of a text");
      expect(trailer?.get("x-text-end")).toBe("trailer of a text");
      expect(decodeBinaryHeader(header?.get("x-raw-bin") ?? "")).toEqual(BYTES);
      expect(decodeBinaryHeader(trailer?.get("x-raw-end-bin") ?? "")).toEqual(BYTES);
    }

    test("go both ways, bytes too", async () => {
      const server = await echo();
      let header: Headers | undefined;
      let trailer: Headers | undefined;
      const onHeader = (value: Headers) => {
        header = value;
      };
      const onTrailer = (value: Headers) => {
        trailer = value;
      };
      await clientOf(server.endpoint).getProduct({ productId: "p1" }, { headers, onHeader, onTrailer });
      expectEcho(header, trailer);
    });

    test("go both ways on a stream", async () => {
      const server = await echo();
      let header: Headers | undefined;
      let trailer: Headers | undefined;
      const onHeader = (value: Headers) => {
        header = value;
      };
      const onTrailer = (value: Headers) => {
        trailer = value;
      };
      const options = { headers, onHeader, onTrailer };
      for await (const _ of clientOf(server.endpoint).watchStock({ productIds: ["p1"] }, options));
      expectEcho(header, trailer);
    });
  });

  describe(`${name}: errors`, () => {
    const refusal = new ConnectError("nö: 100 % sold\nout", Code.FailedPrecondition, { "x-why": "because" }, [
      { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: "OUT_OF_STOCK", domain: "test" }) },
    ]);
    function expectRefusal(error: unknown) {
      expect(error).toBeInstanceOf(ConnectError);
      const { code, rawMessage, metadata } = error as ConnectError;
      expect({ code, rawMessage }).toEqual({
        code: Code.FailedPrecondition,
        rawMessage: "nö: 100 % sold\nout",
      });
      expect(metadata.get("x-why")).toBe("because");
      expect((error as ConnectError).findDetails(ErrorInfoSchema)).toMatchObject([
        { reason: "OUT_OF_STOCK", domain: "test" },
      ]);
    }

    test("arrive with code, text, metadata and details", async () => {
      const server = await testServer(ProductService, {
        getProduct() {
          throw refusal;
        },
      });
      expectRefusal(
        await clientOf(server.endpoint)
          .getProduct({ productId: "p1" })
          .catch((error) => error),
      );
    });

    test("carry what the headers before them said", async () => {
      const server = await testServer(ProductService, {
        getProduct(_, { responseHeader }) {
          responseHeader.set("x-before", "said");
          throw refusal;
        },
      });
      const error = await clientOf(server.endpoint)
        .getProduct({ productId: "p1" })
        .catch((failure) => failure);
      expectRefusal(error);
      expect(error.metadata.get("x-before")).toBe("said");
    });

    test("keep their text, whatever stands in it, without any details too", async () => {
      const text = "nö; 100 % (a: b, c/d?) e=f&g +h $i #j @k %zz";
      const server = await testServer(ProductService, {
        getProduct() {
          throw new ConnectError(text, Code.NotFound);
        },
        // biome-ignore lint/correctness/useYield: it fails before it has anything to say
        async *watchStock() {
          throw new ConnectError(text, Code.NotFound);
        },
      });
      const client = clientOf(server.endpoint);
      const refused = { code: Code.NotFound, rawMessage: text };
      await expect(client.getProduct({ productId: "p1" })).rejects.toMatchObject(refused);
      const watching = Array.fromAsync(client.watchStock({ productIds: ["p1"] }));
      await expect(watching).rejects.toMatchObject(refused);
    });

    test("arrive after the answers before them", async () => {
      const server = await testServer(ProductService, {
        async *watchStock() {
          yield { productId: "p1" };
          yield { productId: "p2" };
          throw refusal;
        },
      });
      const seen: string[] = [];
      const watching = async () => {
        for await (const { productId } of clientOf(server.endpoint).watchStock({ productIds: ["p1"] })) {
          seen.push(productId);
        }
      };
      expectRefusal(await watching().catch((error) => error));
      expect(seen).toEqual(["p1", "p2"]);
    });

    test("a method that the server does not have is UNIMPLEMENTED", async () => {
      const server = await testServer(ProductService, {});
      const call = clientOf(server.endpoint).getProduct({ productId: "p1" });
      await expect(call).rejects.toMatchObject({ code: Code.Unimplemented });
    });

    test("an answer that is too large is RESOURCE_EXHAUSTED", async () => {
      const description = "x".repeat(2_000);
      const server = await testServer(ProductService, { getProduct: () => ({ product: { description } }) });
      const call = clientOf(server.endpoint, { maxMessageBytes: 1_000 }).getProduct({ productId: "p1" });
      await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
    });
  });

  describe(`${name}: deadlines and leaving`, () => {
    /** A handler that never answers, and what became of its signal. */
    async function hanging() {
      const begun = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      const hang = (signal: AbortSignal) => {
        begun.resolve();
        signal.addEventListener("abort", () => left.resolve());
        return new Promise<never>(() => {});
      };
      const server = await testServer(ProductService, {
        getProduct: (_, { signal }) => hang(signal),
        async *watchStock(_, { signal }) {
          yield { productId: "p1" };
          await hang(signal);
        },
      });
      return { server, begun: begun.promise, left: left.promise };
    }

    test("a call that is not answered in time is DEADLINE_EXCEEDED, on a stream too", async () => {
      const { server } = await hanging();
      const client = clientOf(server.endpoint);
      const unary = client.getProduct({ productId: "p1" }, { timeoutMs: 50 });
      await expect(unary).rejects.toMatchObject({ code: Code.DeadlineExceeded });
      const answers = client.watchStock({ productIds: ["p1"] }, { timeoutMs: 50 })[Symbol.asyncIterator]();
      const watching = async () => {
        while (!(await answers.next()).done);
      };
      await expect(watching()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    });

    test("the server learns how long the caller waits", async () => {
      const asked: (number | undefined)[] = [];
      const server = await testServer(ProductService, {
        getProduct(_, { timeoutMs }) {
          asked.push(timeoutMs());
          return {};
        },
      });
      const client = clientOf(server.endpoint);
      await client.getProduct({ productId: "p1" }, { timeoutMs: 20_000 });
      await client.getProduct({ productId: "p1" });
      expect(asked[0]).toBeGreaterThan(0);
      expect(asked[0]).toBeLessThanOrEqual(20_000);
      expect(asked[1]).toBeUndefined();
    });

    test("a caller that leaves is CANCELED, and its handler is told", async () => {
      const { server, begun, left } = await hanging();
      const leaving = new AbortController();
      const call = clientOf(server.endpoint).getProduct({ productId: "p1" }, { signal: leaving.signal });
      const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
      await begun;
      leaving.abort();
      await refused;
      await left;
    });

    test("a call whose caller has left before is not sent", async () => {
      let calls = 0;
      const server = await testServer(ProductService, {
        getProduct() {
          calls++;
          return {};
        },
      });
      const client = clientOf(server.endpoint);
      const call = client.getProduct({ productId: "p1" }, { signal: AbortSignal.abort() });
      await expect(call).rejects.toMatchObject({ code: Code.Canceled });
      // A later call on the same connection: had the first one been sent, it would have come before.
      await client.getProduct({ productId: "p1" });
      expect(calls).toBe(1);
    });

    test("who leaves a stream by its signal gets CANCELED, and the handler is told", async () => {
      const { server, left } = await hanging();
      const leaving = new AbortController();
      const watching = async () => {
        const options = { signal: leaving.signal };
        for await (const _ of clientOf(server.endpoint).watchStock({ productIds: ["p1"] }, options)) {
          leaving.abort();
        }
      };
      await expect(watching()).rejects.toMatchObject({ code: Code.Canceled });
      await left;
    });
  });

  describe(`${name}: connections`, () => {
    /** A server behind a proxy, and a call on its way that will never be answered. */
    async function behindProxy() {
      const begun = Promise.withResolvers<void>();
      const hang = () => {
        begun.resolve();
        return new Promise<never>(() => {});
      };
      const server = await testServer(ProductService, {
        getProduct: ({ productId }) => (productId === "hang" ? hang() : {}),
        async *watchStock() {
          yield { productId: "p1" };
          await hang();
        },
        async importProducts(rows) {
          for await (const _ of rows) begun.resolve();
          return {};
        },
      });
      const proxy = await tcpProxy(server.endpoint);
      return { server, proxy, client: clientOf(proxy.endpoint), begun: begun.promise };
    }

    test.each(DEATHS)("a server that dies (%s) while it works on a call is UNAVAILABLE", async (death) => {
      const { proxy, client, begun } = await behindProxy();
      const refused = expect(client.getProduct({ productId: "hang" })).rejects.toMatchObject({
        code: Code.Unavailable,
      });
      await begun;
      proxy.cut(death);
      await refused;
    });

    test.each(DEATHS)(
      "a server that dies (%s) in the middle of its answers is UNAVAILABLE",
      async (death) => {
        const { proxy, client, begun } = await behindProxy();
        const answers = client.watchStock({ productIds: ["p1"] })[Symbol.asyncIterator]();
        expect((await answers.next()).value).toMatchObject({ productId: "p1" });
        await begun;
        const refused = expect(answers.next()).rejects.toMatchObject({ code: Code.Unavailable });
        proxy.cut(death);
        await refused;
      },
    );

    test.each(DEATHS)(
      "a server that dies (%s) in the middle of the questions is UNAVAILABLE",
      async (death) => {
        const { proxy, client, begun } = await behindProxy();
        const never = Promise.withResolvers<void>();
        onTestFinished(() => never.resolve());
        async function* rows() {
          yield { product: { name: "x" } };
          await never.promise;
        }
        const refused = expect(client.importProducts(rows())).rejects.toMatchObject({
          code: Code.Unavailable,
        });
        await begun;
        proxy.cut(death);
        await refused;
      },
    );

    test.each(DEATHS)("after a death (%s) the next call opens a new connection", async (death) => {
      const { proxy, client, begun } = await behindProxy();
      const broken = client.getProduct({ productId: "hang" }).catch(() => {});
      await begun;
      proxy.cut(death);
      await broken;
      expect(await client.getProduct({ productId: "p1" })).toMatchObject({});
      expect(proxy.connections()).toBe(1);
    });

    test("where nobody listens it is UNAVAILABLE", async () => {
      const server: TestServer = await testServer(ProductService, {});
      await server.stop(0);
      const client = clientOf(server.endpoint);
      const unary = client.getProduct({ productId: "p1" });
      await expect(unary).rejects.toMatchObject({ code: Code.Unavailable });
      const answers = client.watchStock({ productIds: ["p1"] })[Symbol.asyncIterator]();
      await expect(answers.next()).rejects.toMatchObject({ code: Code.Unavailable });
    });

    test("calls one after the other share a connection; close lets it go", async () => {
      const server = await testServer(ProductService, { getProduct: () => ({}) });
      const proxy = await tcpProxy(server.endpoint);
      const transport = opened(proxy.endpoint);
      const client = meshClient(ProductService, transport);
      await client.getProduct({ productId: "p1" });
      await client.getProduct({ productId: "p2" });
      expect(proxy.connections()).toBe(1);
      transport.close();
      transport.close();
      await proxy.whenEmpty();
    });

    test("a drained server is UNAVAILABLE, and the process lives on", async () => {
      const server = await testServer(ProductService, { getProduct: () => ({}) });
      const client = clientOf(server.endpoint);
      await client.getProduct({ productId: "p1" });
      await server.stop();
      await expect(client.getProduct({ productId: "p1" })).rejects.toMatchObject({ code: Code.Unavailable });
    });
  });
}
