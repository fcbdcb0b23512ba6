import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { testServer } from "../../testing/server.ts";
import type { HttpHandler } from "./http-fallback.ts";

const served = (http: HttpHandler) => testServer(ProductService, {}, { http });

test("a page keeps its status, its headers and its bytes", async () => {
  const { url } = await served(
    () =>
      new Response(Uint8Array.of(0, 255), {
        status: 418,
        headers: { "x-tea": "pot", "content-type": "a/b" },
      }),
  );
  const response = await fetch(`${url}/x`);
  expect(response.status).toBe(418);
  expect(response.headers.get("x-tea")).toBe("pot");
  expect(response.headers.get("content-type")).toBe("a/b");
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(0, 255));
});

test("the handler sees path and query, and no host that a caller chose", async () => {
  const seen: string[] = [];
  const { url } = await served((request) => {
    seen.push(request.url);
    return new Response();
  });
  await fetch(`${url}/a/b?c=d`);
  expect(seen).toEqual(["http://service.invalid/a/b?c=d"]);
});

test("HEAD has the length and no body", async () => {
  const { url } = await served(() => new Response("12345"));
  const response = await fetch(url, { method: "HEAD" });
  expect(response.headers.get("content-length")).toBe("5");
  expect(await response.text()).toBe("");
});

test("a handler that fails is a 500 without its text", async () => {
  const { url } = await served(() => {
    throw new Error("secret");
  });
  const response = await fetch(url);
  expect([response.status, await response.text()]).toEqual([500, "internal error\n"]);
});

test("a page is asked for by GET or HEAD only", async () => {
  const { url } = await served(() => new Response("page"));
  expect((await fetch(url, { method: "DELETE" })).status).toBe(404);
});
