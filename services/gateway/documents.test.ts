import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { securityHeaders } from "../../mesh/edge/security-headers.ts";
import { rest } from "../../mesh/rest/rest.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { documents } from "./documents.ts";

const { url } = await testServer(
  ProductService,
  {},
  {
    files: documents(),
    web: (calls) => rest({ services: [ProductService], calls }),
    adorn: securityHeaders(() => false),
  },
);

test.each(["openapi", "asyncapi"])(
  "/%s.json is as it was generated, and sent once to who has it",
  async (name) => {
    const answer = await fetch(`${url}/${name}.json`);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "application/json",
      "cache-control": "no-cache",
    });
    const generated = new URL(`../../contracts/documents/${name}.json`, import.meta.url);
    expect(await answer.text()).toBe(readFileSync(generated, "utf8"));
    const headers = { "if-none-match": answer.headers.get("etag") ?? "" };
    expect((await fetch(`${url}/${name}.json`, { headers })).status).toBe(304);
    const head = await fetch(`${url}/${name}.json`, { method: "HEAD" });
    expect([head.status, head.headers.get("etag")]).toEqual([200, answer.headers.get("etag")]);
  },
);

test.each(["/docs", "/docs/events.html"])(
  "%s loads what is served here only, and has no script in it",
  async (at) => {
    const answer = await fetch(`${url}${at}`);
    const page = await answer.text();
    expect(answer.headers.get("content-security-policy")).toContain("script-src 'self';");
    const loaded = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path]) => path);
    expect(loaded.length).toBeGreaterThan(2);
    for (const path of loaded) expect([path, (await fetch(`${url}${path}`)).status]).toEqual([path, 200]);
    expect(page).not.toMatch(/<script>|<style>| on\w+=/);
  },
);

test.for(["/docs/none", "/docs/viewer/index.html", "/docs/viewer/package.json", "/docs/viewer/", "/openapi"])(
  "%s is not there",
  async (path) => {
    expect((await fetch(`${url}${path}`)).status).toBe(404);
  },
);
