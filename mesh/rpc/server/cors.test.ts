import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { testServer } from "../../testing/server.ts";
import { cors } from "./cors.ts";

const ORIGIN = "https://shop.example";
const PREFLIGHT = { origin: ORIGIN, "access-control-request-method": "PATCH" };

async function serve(...origins: string[]) {
  const { url } = await testServer(
    ProductService,
    { getProduct: ({ productId }) => ({ product: { productId } }) },
    { cors: cors(origins), web: () => () => new Response("web", { headers: { vary: "authorization" } }) },
  );
  const rpc = `${url}/shop.product.v1.ProductService/GetProduct`;
  const call = { method: "POST", headers: { origin: ORIGIN, "content-type": "application/json" } };
  return { url, callRpc: () => fetch(rpc, { ...call, body: '{"productId":"p1"}' }), rpc };
}

test("a page of an origin that may call is told what it may send and see, by RPC or not", async () => {
  const { url, rpc, callRpc } = await serve(ORIGIN);
  for (const to of [`${url}/v1/products/p1`, rpc]) {
    const answer = await fetch(to, { method: "OPTIONS", headers: PREFLIGHT });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(answer.headers.get("access-control-allow-methods")).toContain("PATCH");
    expect(answer.headers.get("access-control-allow-headers")).toContain("Idempotency-Key");
    expect(answer.headers.get("access-control-allow-headers")).toContain("Connect-Protocol-Version");
  }
  const answer = await callRpc();
  expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([200, ORIGIN]);
  expect(answer.headers.get("access-control-expose-headers")).toContain("ETag");
});

test("an answer depends on the origin, beside what else it depends on", async () => {
  const { url } = await serve(ORIGIN);
  expect((await fetch(url)).headers.get("vary")).toBe("origin, authorization");
});

test("a page of another origin is told nothing", async () => {
  const { url, callRpc } = await serve("https://other.example");
  const preflight = await fetch(url, { method: "OPTIONS", headers: PREFLIGHT });
  expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  expect((await callRpc()).headers.get("access-control-allow-origin")).toBeNull();
});

test("any origin may call if * says so", async () => {
  const { callRpc } = await serve("*");
  expect((await callRpc()).headers.get("access-control-allow-origin")).toBe("*");
});

test("OPTIONS that is no preflight goes on", async () => {
  const { url } = await serve(ORIGIN);
  expect(await (await fetch(url, { method: "OPTIONS", headers: { origin: ORIGIN } })).text()).toBe("web");
});
