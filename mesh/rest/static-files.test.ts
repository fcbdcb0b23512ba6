import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { brotliCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { sendRaw } from "../../tests/bad-input/raw-http.ts";
import { atEnd } from "../testing/at-end.ts";
import { testServer } from "../testing/server.ts";
import { rest } from "./rest.ts";
import { staticFiles } from "./static-files.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-files-"));
atEnd(async () => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "public"));
writeFileSync(join(folder, "secret.txt"), "secret");
writeFileSync(join(folder, "public", "index.html"), "<p>hello</p>");
writeFileSync(join(folder, "public", "page.js"), "1 + 1;");
writeFileSync(join(folder, "public", "page.js.map"), "{}");
writeFileSync(join(folder, "public", "long.js"), "2 + 2;");
writeFileSync(join(folder, "public", "long.js.br"), brotliCompressSync("2 + 2;"));

const files = staticFiles({
  folder: join(folder, "public"),
  at: "/docs",
  isOffered: (file) => !file.endsWith(".map"),
  cacheControl: (file) => (file.endsWith(".js") ? "max-age=60" : "no-cache"),
  headers: { "content-security-policy": "default-src 'self'" },
});
const { url, port } = await testServer(
  ProductService,
  {},
  { files: [files], web: (calls) => rest({ services: [ProductService], calls }) },
);

test("a file is sent with its type, its validator and what is said of keeping it", async () => {
  const answer = await fetch(`${url}/docs/page.js?v=1`);
  expect([answer.status, await answer.text()]).toEqual([200, "1 + 1;"]);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    "content-type": "text/javascript",
    "content-length": "6",
    "cache-control": "max-age=60",
    "content-security-policy": "default-src 'self'",
    "x-content-type-options": "nosniff",
  });
  const again = await fetch(`${url}/docs/page.js`, {
    headers: { "if-none-match": answer.headers.get("etag") ?? "" },
  });
  expect([again.status, await again.text(), again.headers.get("cache-control")]).toEqual([
    304,
    "",
    "max-age=60",
  ]);
});

test("a file that has been compressed goes so to who takes it, and both say what they vary by", async () => {
  const get = async (encoding: string) => {
    const answer = await fetch(`${url}/docs/long.js`, { headers: { "accept-encoding": encoding } });
    const { headers } = answer;
    return [
      await answer.text(),
      headers.get("content-encoding"),
      headers.get("content-type"),
      headers.get("vary"),
    ];
  };
  const vary = "accept-encoding, origin";
  expect(await get("br")).toEqual(["2 + 2;", "br", "text/javascript", vary]);
  expect(await get("gzip")).toEqual(["2 + 2;", null, "text/javascript", vary]);
});

test("a folder is its index.html, with or without a slash", async () => {
  for (const path of ["/docs", "/docs/", "/docs/?x=1"]) {
    const answer = await fetch(`${url}${path}`);
    expect([answer.headers.get("content-type"), await answer.text()]).toEqual([
      "text/html;charset=utf-8",
      "<p>hello</p>",
    ]);
  }
});

test("HEAD says the same without the file, over HTTP/2 too", async () => {
  const answer = await fetch(`${url}/docs/page.js`, { method: "HEAD" });
  expect([answer.status, answer.headers.get("content-length"), await answer.text()]).toEqual([200, "6", ""]);
  const session = connect(url);
  atEnd(async () => session.close());
  for (const [method, body] of [
    ["HEAD", ""],
    ["GET", "1 + 1;"],
  ]) {
    const stream = session.request({ ":method": method, ":path": "/docs/page.js" });
    const status = new Promise((resolve) =>
      stream.once("response", ({ ":status": status }) => resolve(status)),
    );
    expect([await text(stream), await status]).toEqual([body, 200]);
  }
});

test("what is no file of the folder is answered by who comes next, without a header of ours", async () => {
  for (const path of ["/docs/none", "/docs/page.js.map", "/docs/page.js/", "/docsx", "/"]) {
    const answer = await fetch(`${url}${path}`);
    expect([path, answer.status, answer.headers.has("content-security-policy")]).toEqual([path, 404, false]);
    expect(await answer.json()).toMatchObject({ details: [{ reason: "NO_ROUTE" }] });
  }
  expect((await fetch(`${url}/docs/page.js`, { method: "POST" })).status).toBe(404);
});

test.each(["/docs/../secret.txt", "/docs/%2e%2e/secret.txt", "/docs/..%2fsecret.txt", "/docs/%", "/docs//"])(
  "%s leads nowhere",
  async (path) => {
    const { status, text: answer } = await sendRaw(port, { line: `GET ${path} HTTP/1.1` });
    expect([status, answer.includes("secret\r") || answer.endsWith("secret")]).toEqual([404, false]);
  },
);

test("what was said in an answer before is still said where there is no such file", async () => {
  const server = await testServer(
    ProductService,
    {},
    { files: [files], adorn: (_, response) => response.setHeader("x-content-type-options", "said before") },
  );
  const answer = await fetch(`${server.url}/docs/none`);
  expect([answer.status, answer.headers.get("x-content-type-options")]).toEqual([404, "said before"]);
});
