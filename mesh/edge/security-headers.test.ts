import { expect, test } from "vitest";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { rest } from "../rest/rest.ts";
import { testServer } from "../testing/server.ts";
import { securityHeaders } from "./security-headers.ts";
import { whereFrom } from "./where-from.ts";

const PAGE_POLICY = "default-src 'self'";

async function secured(trustedProxies: readonly string[] = []) {
  const services = [ProductService, CustomerService];
  const { url } = await testServer(
    ProductService,
    { getProduct: ({ productId }) => ({ product: { productId } }), listProducts: () => ({}) },
    {
      services,
      adorn: securityHeaders(whereFrom(trustedProxies).isSecure),
      http({ url }) {
        if (!url.endsWith("/page")) return undefined;
        return new Response("page", { headers: { "content-security-policy": PAGE_POLICY } });
      },
      web: (calls) => rest({ services, calls }),
    },
  );
  return url;
}

const JSON_TYPE = { "content-type": "application/json" };
const PRODUCT = { method: "POST", headers: JSON_TYPE, body: '{"productId":"p1"}' };
const RPC = "/shop.product.v1.ProductService/GetProduct";

test.each<[string, string, RequestInit, number]>([
  ["REST", "/v1/products/p1", {}, 200],
  ["an error", "/v1/nowhere", {}, 404],
  ["Connect", RPC, PRODUCT, 200],
  ["gRPC-Web", RPC, { method: "POST", headers: { "content-type": "application/grpc-web+proto" } }, 200],
  ["what is no call", RPC, { method: "PUT" }, 405],
  ["a page", "/healthz", {}, 200],
])(
  "an answer to %s says what a browser may do with it, and not who made it",
  async (_, path, init, status) => {
    const answer = await fetch(`${await secured()}${path}`, init);
    expect(answer.status).toBe(status);
    const headers = Object.fromEntries(answer.headers);
    expect(headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
    });
    for (const name of ["server", "x-powered-by", "strict-transport-security"])
      expect(headers).not.toHaveProperty(name);
  },
);

test("pages load scripts and all else from where they come from, and no script stands in one", async () => {
  const policy = (await fetch(`${await secured()}/healthz`)).headers.get("content-security-policy") ?? "";
  const directives = new Map(policy.split(";").map((each) => [each.split(" ")[0], each.split(" ").slice(1)]));
  expect(directives.get("script-src")).toEqual(["'self'"]);
  expect(directives.get("connect-src")).toEqual(["'self'"]);
  expect(directives.get("default-src")).toEqual(["'none'"]);
  expect(directives.get("frame-ancestors")).toEqual(["'none'"]);
  expect(policy).not.toContain("http");
});

test("a page may have a policy of its own", async () => {
  const answer = await fetch(`${await secured()}/page`);
  expect(answer.headers.get("content-security-policy")).toBe(PAGE_POLICY);
});

test("who comes to a trusted proxy by TLS is told to keep to TLS", async () => {
  const asTold = async (url: string) => {
    const answer = await fetch(`${url}/healthz`, { headers: { "x-forwarded-proto": "https" } });
    return answer.headers.get("strict-transport-security");
  };
  expect(await asTold(await secured(["loopback"]))).toBe("max-age=31536000");
  expect(await asTold(await secured())).toBeNull();
});

test("what is for somebody who says who they are is not kept, unless the contract has it kept", async () => {
  const url = await secured();
  const control = async (path: string, init: RequestInit = {}) => {
    const headers = { ...init.headers, authorization: "Bearer token" };
    return (await fetch(`${url}${path}`, { ...init, headers })).headers.get("cache-control");
  };
  expect(await control("/v1/products")).toBe("no-store");
  expect(await control(RPC, PRODUCT)).toBe("no-store");
  expect(await control("/v1/products/p1")).toBe("max-age=1, stale-while-revalidate=4, stale-if-error=300");
  expect((await fetch(`${url}/v1/products`)).headers.get("cache-control")).toBe("no-cache");
});
