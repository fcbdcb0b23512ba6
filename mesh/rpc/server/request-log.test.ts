import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../../core/errors.ts";
import { atEnd } from "../../testing/at-end.ts";
import { type LogLine, recordingLog } from "../../testing/log.ts";
import { testServer } from "../../testing/server.ts";
import { meshClient } from "../client/client.ts";
import { grpcJsTransport } from "../client/transport-grpc-js.ts";
import { markAsAnswer } from "../errors.ts";

const INFO = 30;
const ERROR = 50;

async function logged() {
  const { log, lines } = recordingLog();
  const left = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<void>();
  const server = await testServer(
    ProductService,
    {
      getProduct({ productId }) {
        switch (productId) {
          case "gone":
            throw new AppError("there is none", { code: Code.NotFound, reason: "GONE", domain: "d" });
          case "broken":
            throw new Error("the cause");
          case "away":
            throw markAsAnswer(new ConnectError("their trouble", Code.Unavailable));
          default:
            return {};
        }
      },
      async *watchStock({ productIds }, { signal }) {
        for (const productId of productIds) {
          if (productId === "wait") await finished.promise;
          yield { productId };
          if (productId === "broken") throw new Error("the cause");
        }
        if (productIds[0] !== "stay") return;
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        left.resolve();
      },
    },
    { log },
  );
  const transport = grpcJsTransport(server.endpoint, { interceptors: [], maxMessageBytes: 2 ** 20 });
  atEnd(async () => transport.close());
  return {
    client: meshClient(ProductService, transport),
    lines,
    left: left.promise,
    finish: finished.resolve,
  };
}

const method = "shop.product.v1.ProductService/GetProduct";

async function lineOf(productId: string): Promise<LogLine> {
  const { client, lines } = await logged();
  await client.getProduct({ productId }).catch(() => {});
  expect(lines).toHaveLength(1);
  return lines[0] as LogLine;
}

test("a call is a line: method, code, milliseconds", async () => {
  const line = await lineOf("p1");
  expect(line).toMatchObject({ level: INFO, msg: "call", method, code: "Ok" });
  expect(line.ms).toBeGreaterThanOrEqual(0);
});

test("what the caller did wrong is no error of ours, and neither is a refusal", async () => {
  expect(await lineOf("gone")).toMatchObject({
    level: INFO,
    method,
    code: "NotFound",
    error: "there is none",
  });
  expect(await lineOf("")).toMatchObject({ level: INFO, method, code: "InvalidArgument" });
});

test("what the service did wrong is an error, with the cause that the caller does not see", async () => {
  const line = await lineOf("broken");
  expect(line).toMatchObject({ level: ERROR, msg: "call failed", method, code: "Internal" });
  expect(JSON.stringify(line.err)).toContain("the cause");
});

test("what a called service did wrong is named beside the answer", async () => {
  expect(await lineOf("away")).toMatchObject({
    level: INFO,
    code: "Unavailable",
    cause: "[unavailable] their trouble",
  });
});

test("a stream is one line, when it ends", async () => {
  const { client, lines, finish } = await logged();
  const answers = client.watchStock({ productIds: ["p1", "wait"] })[Symbol.asyncIterator]();
  await answers.next();
  expect(lines).toEqual([]);
  finish();
  while (!(await answers.next()).done);
  expect(lines).toMatchObject([{ level: INFO, code: "Ok" }]);
});

test("a stream that fails is one line too", async () => {
  const { client, lines } = await logged();
  await Array.fromAsync(client.watchStock({ productIds: ["broken"] })).catch(() => {});
  expect(lines).toMatchObject([{ level: ERROR, code: "Internal" }]);
});

test("so is one whose caller leaves", async () => {
  const { client, lines, left } = await logged();
  const leaving = new AbortController();
  const options = { signal: leaving.signal };
  const answers = client.watchStock({ productIds: ["stay"] }, options)[Symbol.asyncIterator]();
  await answers.next();
  leaving.abort();
  await left;
  await new Promise(setImmediate);
  expect(lines).toHaveLength(1);
  expect(lines[0]?.level).toBe(INFO);
});
