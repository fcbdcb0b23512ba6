import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { rest } from "../../mesh/rest/rest.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { shopPage } from "./page.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-page-"));
atEnd(async () => rmSync(folder, { recursive: true }));

test("a folder without a page is none", () => {
  expect(shopPage(folder)).toBeUndefined();
});

test("the page is at the paths that it shows something at, its files at theirs, and the rest is left to others", async () => {
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), "<p>the page</p>");
  writeFileSync(join(folder, "assets", "index-1a2b.js"), "1 + 1;");
  const page = shopPage(folder);
  const { url } = await testServer(
    ProductService,
    {},
    { ...(page && { files: [page] }), web: (calls) => rest({ services: [ProductService], calls }) },
  );
  const get = async (path: string) => {
    const { status, headers } = await fetch(`${url}${path}`);
    return [status, headers.get("content-type"), headers.get("cache-control")];
  };
  const itself = [200, "text/html;charset=utf-8", "no-cache"];
  for (const path of [
    "/",
    "/products/p1",
    "/products/p1?q=1",
    "/basket",
    "/orders",
    "/orders/",
    "/orders/o1",
  ])
    expect([path, ...(await get(path))]).toEqual([path, ...itself]);
  const forever = "public, max-age=31536000, immutable";
  expect(await get("/assets/index-1a2b.js")).toEqual([200, "text/javascript", forever]);
  for (const path of ["/none", "/v1/none", "/products", "/products/a/b", "/assets/index-3c4d.js"])
    expect([path, ...(await get(path))]).toEqual([path, 404, "application/json", "no-store"]);
  const { headers } = await fetch(url);
  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src 'self';/);

  // Built anew, it is another page.
  rmSync(join(folder, "assets"), { recursive: true });
  writeFileSync(join(folder, "index.html"), "<p>the page of today</p>");
  expect(await (await fetch(url)).text()).toBe("<p>the page of today</p>");
  expect((await fetch(`${url}/assets/index-1a2b.js`)).status).toBe(404);
});
