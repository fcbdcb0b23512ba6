import { create, type DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { editedContracts, editOption, setOption } from "../testing/edited-contracts.ts";
import { rest } from "./rest.ts";

const seen: { header: Headers; timeoutMs: number | undefined }[] = [];
const placed: string[] = [];

const handler = rest({
  services: [ProductService, OrderService],
  maxBodyBytes: 1_000,
  calls: createRouterTransport((router) => {
    router.service(ProductService, {
      getProduct({ productId }, { requestHeader, responseTrailer, timeoutMs }) {
        seen.push({ header: requestHeader, timeoutMs: timeoutMs() });
        if (productId === "gone") throw new ConnectError("there is no product gone", Code.NotFound);
        if (productId === "stale") responseTrailer.set("mesh-degraded", "stale");
        return { product: { productId, name: "Beans" } };
      },
      listProducts: ({ pageSize, query }) => ({ products: [], nextPageToken: `${pageSize} ${query}` }),
      updateProduct({ product, updateMask }) {
        if (product) product.description = updateMask?.paths.join() ?? "";
        return product ? { product } : {};
      },
      async *watchStock({ productIds }) {
        for (const productId of productIds) {
          if (productId === "gone") throw new ConnectError("there is no product gone", Code.NotFound);
          yield { productId, availableStock: 7 };
        }
      },
      async importProducts(rows) {
        let createdCount = 0;
        for await (const _ of rows) createdCount++;
        return { createdCount };
      },
    });
    router.service(OrderService, {
      placeOrder({ customerId, requestId }) {
        placed.push(requestId);
        return { order: { orderId: `of-${customerId}` } };
      },
      cancelOrder: ({ orderId, reason }) => ({ order: { orderId, customerId: reason } }),
    });
  }),
});

interface Call extends RequestInit {
  readonly json?: unknown;
}

function call(method: string, path: string, { json, headers, ...more }: Call = {}): Promise<Response> {
  const body = json === undefined ? more.body : JSON.stringify(json);
  const type = json === undefined ? {} : { "content-type": "application/json" };
  const init = { ...more, method, body, headers: { ...type, ...headers }, duplex: "half" } as RequestInit;
  return handler(new Request(`http://service.invalid${path}`, init));
}

test("GET reads: path and query in, JSON out, what is empty too", async () => {
  const answer = await call("GET", "/v1/products?page_size=2&query=beans");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(await answer.json()).toEqual({ products: [], nextPageToken: "2 beans" });
});

test("POST and PATCH take a body, of the whole request or of one field", async () => {
  const cancelled = await call("POST", "/v1/orders/o1:cancel", { json: { reason: "no" } });
  expect(await cancelled.json()).toMatchObject({ order: { orderId: "o1", customerId: "no" } });
  expect(cancelled.headers.get("cache-control")).toBe("no-store");
  const updated = await call("PATCH", "/v1/products/p1?update_mask=name", { json: { name: "New" } });
  expect(await updated.json()).toMatchObject({
    product: { productId: "p1", name: "New", description: "name" },
  });
});

test("an error has its status, and its JSON is that of google.rpc.Status", async () => {
  const answer = await call("GET", "/v1/products/gone");
  expect(answer.status).toBe(404);
  expect(await answer.json()).toEqual({ code: 5, message: "there is no product gone", details: [] });
});

test("bad input names each field", async () => {
  const answer = await call("GET", "/v1/products?page_size=x&colour=red", {
    headers: { accept: "application/json, application/problem+json;q=1" },
  });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({
    details: [
      { reason: "INVALID_REQUEST" },
      { fieldViolations: [{ field: "page_size" }, { field: "colour" }] },
    ],
  });
});

describe("what HTTP asks for", () => {
  test("404 for a path of no route", async () => {
    const answer = await call("GET", "/v1/nothing");
    expect([answer.status, await answer.json()]).toMatchObject([404, { details: [{ reason: "NO_ROUTE" }] }]);
  });

  test("405 with what is allowed, for another method", async () => {
    const answer = await call("DELETE", "/v1/products/p1");
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, PATCH, OPTIONS"]);
    const stream = await call("HEAD", "/v1/products:watchStock?product_ids=p1");
    expect([stream.status, stream.headers.get("allow")]).toEqual([405, "GET, OPTIONS"]);
  });

  test("OPTIONS says what is allowed", async () => {
    const answer = await call("OPTIONS", "/v1/orders");
    expect([answer.status, answer.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
    expect((await call("OPTIONS", "/v1/nothing")).status).toBe(404);
  });

  test("406 if the answer comes in nothing that is accepted", async () => {
    const before = seen.length;
    expect((await call("GET", "/v1/products/p1", { headers: { accept: "text/html" } })).status).toBe(406);
    const stream = "/v1/products:watchStock?product_ids=p1";
    expect((await call("GET", stream, { headers: { accept: "application/json" } })).status).toBe(406);
    expect(seen.length).toBe(before);
  });

  test("415 for a body of another type, 413 for one that is too large", async () => {
    const form = await call("POST", "/v1/orders", { body: "a=b", headers: { "content-type": "text/plain" } });
    expect([form.status, form.headers.get("accept")]).toEqual([415, "application/json"]);
    expect((await call("POST", "/v1/orders", { json: { customer_id: "c".repeat(1_000) } })).status).toBe(413);
  });

  test("problem details, if they are preferred", async () => {
    const accept = "application/problem+json, application/json;q=0.9";
    const answer = await call("GET", "/v1/products/gone", { headers: { accept } });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(await answer.json()).toMatchObject({ status: 404, code: "NOT_FOUND" });
  });

  test("HEAD has the headers of GET and no body", async () => {
    const [head, get] = await Promise.all([call("HEAD", "/v1/products/p1"), call("GET", "/v1/products/p1")]);
    expect([...head.headers]).toEqual([...get.headers]);
    expect(head.body).toBeNull();
    expect(head.headers.get("content-length")).toBe(String((await get.arrayBuffer()).byteLength));
  });
});

test("an answer may be kept as the contract says, and 304 tells who has it that it still holds", async () => {
  const first = await call("GET", "/v1/products/p1");
  expect(first.headers.get("cache-control")).toBe("max-age=1, stale-while-revalidate=4, stale-if-error=300");
  const etag = first.headers.get("etag") ?? "";
  const again = await call("GET", "/v1/products/p1", { headers: { "if-none-match": etag } });
  expect([again.status, again.body, again.headers.get("etag")]).toEqual([304, null, etag]);
  const other = await call("GET", "/v1/products/p2", { headers: { "if-none-match": etag } });
  expect(other.status).toBe(200);
});

test("an answer that stands in for another says so, and is not kept", async () => {
  const { headers } = await call("GET", "/v1/products/stale");
  expect([headers.get("mesh-degraded"), headers.get("cache-control")]).toEqual(["stale", "no-store"]);
});

test("headers of the caller go along, and its timeout is the call's", async () => {
  await call("GET", "/v1/products/p1", {
    headers: { "request-timeout": "20", tenant: "acme", cookie: "no" },
  });
  const { header, timeoutMs } = seen.at(-1) ?? {};
  expect([header?.get("tenant"), header?.get("cookie")]).toEqual(["acme", null]);
  expect(timeoutMs).toBeGreaterThan(0);
  expect(timeoutMs).toBeLessThanOrEqual(20_000);
});

test("idempotency-key is the request's own key", async () => {
  await call("POST", "/v1/orders", { json: { customer_id: "c" }, headers: { "idempotency-key": '"k-1"' } });
  expect(placed).toEqual(["k-1"]);
});

describe("streams", () => {
  test("of answers are lines, or events if those are preferred", async () => {
    const path = "/v1/products:watchStock?product_ids=a&product_ids=b";
    const line = (productId: string) => JSON.stringify({ productId, availableStock: 7 });
    expect(await (await call("GET", path)).text()).toBe(`{"result":${line("a")}}\n{"result":${line("b")}}\n`);
    const events = await call("GET", path, { headers: { accept: "text/event-stream" } });
    expect(await events.text()).toBe(`data: ${line("a")}\n\ndata: ${line("b")}\n\nevent: end\ndata: {}\n\n`);
  });

  test("that fail at once are errors with a status; later the error is the last line", async () => {
    const gone = await call("GET", "/v1/products:watchStock?product_ids=gone", {
      headers: { accept: "text/event-stream" },
    });
    expect([gone.status, gone.headers.get("content-type")]).toEqual([404, "application/json"]);
    const later = await (await call("GET", "/v1/products:watchStock?product_ids=a&product_ids=gone")).text();
    expect(JSON.parse(later.split("\n")[1] ?? "")).toMatchObject({ error: { code: 5 } });
  });

  const rows = (body: string) =>
    call("POST", "/v1/products:import", { body, headers: { "content-type": "application/x-ndjson" } });

  test("of requests are lines, and their one answer is JSON", async () => {
    const answer = await rows('{"product":{"name":"a"}}\n{"product":{"name":"b"}}\n');
    expect([answer.status, await answer.json()]).toMatchObject([200, { createdCount: 2 }]);
  });

  test("of requests are refused at the line that is bad", async () => {
    const answer = await rows('{"product":{}}\n{"colour":1}\n');
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ message: expect.stringContaining("line 2") });
    expect((await call("POST", "/v1/products:import", { json: {} })).status).toBe(415);
    const query = await call("POST", "/v1/products:import?product.name=x", {
      body: "",
      headers: { "content-type": "application/x-ndjson" },
    });
    expect(query.status).toBe(400);
  });
});

describe("routes beside the first", () => {
  const { registry } = editedContracts(({ method }) =>
    editOption(method("shop.order.v1.OrderService/GetOrder"), http, (its) => {
      its.additionalBindings = [
        create(HttpRuleSchema, {
          pattern: { case: "custom", value: { kind: "PURGE", path: "/{order_id=archive/**}" } },
          responseBody: "order",
        }),
      ];
    }),
  );
  const service = registry.getService("shop.order.v1.OrderService") as DescService;
  const answering = rest({
    services: [service],
    calls: createRouterTransport((router) =>
      router.service(service, {
        getOrder: ({ orderId }: { orderId: string }) => ({ order: { orderId } }),
      } as never),
    ),
  });

  test("take what they say, and answer with the field that they say", async () => {
    const answer = await answering(new Request("http://x.invalid/archive/2026/o%2F1", { method: "PURGE" }));
    expect(await answer.json()).toMatchObject({ orderId: "archive/2026/o%2F1" });
    const allowed = await answering(new Request("http://x.invalid/archive/x", { method: "OPTIONS" }));
    expect(allowed.headers.get("allow")).toBe("PURGE, OPTIONS");
  });
});

test("routes that take the same paths do not start, and both are named", () => {
  const { registry } = editedContracts(({ method }) =>
    setOption(
      method("shop.order.v1.OrderService/GetOrder"),
      http,
      create(HttpRuleSchema, { pattern: { case: "get", value: "/v1/products/{order_id}" } }),
    ),
  );
  const services = ["shop.product.v1.ProductService", "shop.order.v1.OrderService"].map(
    (name) => registry.getService(name) as DescService,
  );
  expect(() => rest({ services, calls: createRouterTransport(() => {}) })).toThrow(
    "shop.order.v1.OrderService/GetOrder: its GET /v1/products/{order_id} takes the same paths as GET /v1/products/{product_id} of shop.product.v1.ProductService/GetProduct",
  );
});

test("what fails for no reason of its caller is not answered", async () => {
  const broken = rest({
    services: [OrderService],
    calls: {
      unary: () => Promise.reject(new TypeError("a bug")),
      stream: () => Promise.reject(new TypeError("a bug")),
    },
  });
  await expect(broken(new Request("http://x.invalid/v1/orders/o1"))).rejects.toThrow("a bug");
});
