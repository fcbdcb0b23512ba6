import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { expect, onTestFinished, test, vi } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { recordingLog } from "../../testing/log.ts";
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

test("the web sees what no page answers: method, headers and body", async () => {
  const { url } = await testServer(
    ProductService,
    {},
    {
      http: (request) => (new URL(request.url).pathname === "/page" ? new Response("page") : undefined),
      web: () => async (request) =>
        new Response(`${request.method} ${request.headers.get("x-a")} ${await request.text()}`, {
          status: 201,
        }),
    },
  );
  const answer = await fetch(`${url}/page`, { method: "PUT", headers: { "x-a": "1" }, body: "hello" });
  expect([answer.status, await answer.text()]).toEqual([201, "PUT 1 hello"]);
  expect(await (await fetch(`${url}/page`)).text()).toBe("page");
});

test("a body that is refused unread costs its caller no answer", async () => {
  const { url } = await testServer(
    ProductService,
    {},
    {
      web: () => async (request) => {
        const reader = request.body?.getReader();
        await reader?.read();
        reader?.releaseLock();
        return new Response("too large", { status: 413 });
      },
    },
  );
  const body = new Uint8Array(2 ** 22);
  expect((await fetch(url, { method: "POST", body })).status).toBe(413);
  expect((await fetch(url, { method: "POST", body: "again" })).status).toBe(413);
});

test("a body is sent as it comes, and that its reader has gone is told", async () => {
  let send: (text: string) => void = () => {};
  const left = Promise.withResolvers<unknown>();
  const { url } = await testServer(
    ProductService,
    {},
    {
      web: () => (request) => {
        request.signal.addEventListener("abort", () => left.resolve("left"));
        const body = new ReadableStream({
          start: (controller) => {
            send = (text) => controller.enqueue(new TextEncoder().encode(text));
          },
        });
        return new Response(body);
      },
    },
  );
  const gone = new AbortController();
  const { body } = await fetch(url, { signal: gone.signal });
  const reader = body?.getReader();
  for (const text of ["one", "two"]) {
    send(text);
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(text);
  }
  gone.abort();
  expect(await left.promise).toBe("left");
});

test("who is still sending reads why it was refused before its connection is closed", async () => {
  const web = () => () => new Response("too large", { status: 413 });
  const { port } = await testServer(ProductService, {}, { web });
  // The server waits for a second only, in which a slow machine may not send so much.
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const socket = connect({ host: "127.0.0.1", port });
  const answer = text(socket);
  const bytes = 16 * 2 ** 20;
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${bytes}\r\n\r\n`);
  // Fails if the connection is closed before all of it is sent.
  await promisify(socket.write.bind(socket) as (bytes: Buffer, done: (error?: Error | null) => void) => void)(
    Buffer.alloc(bytes),
  );
  expect(await answer).toMatch(/^HTTP\/1.1 413 .*too large/s);
});

test("that a caller has gone while it sent is no failure of ours", async () => {
  const { log, lines } = recordingLog();
  const reading = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const web = () => async (request: Request) => {
    reading.resolve();
    await request.text().finally(left.resolve);
    return new Response();
  };
  const { port, url } = await testServer(ProductService, {}, { web, log });
  const socket = connect({ host: "127.0.0.1", port });
  socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1");
  await reading.promise;
  socket.resetAndDestroy();
  await once(socket, "close");
  await left.promise;
  await fetch(`${url}/healthz`);
  expect(lines.filter(({ msg }) => msg === "a page failed")).toEqual([]);
});

test("an answer that is there when its caller has gone is left, and the server goes on", async () => {
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const { log, lines } = recordingLog();
  const web = () => async (request: Request) => {
    if (request.url.endsWith("/next")) return new Response("next", { headers: { "content-length": "4" } });
    asked.resolve();
    await new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
    answered.resolve();
    return new Response("late", { headers: { "content-length": "4" } });
  };
  const { port, url } = await testServer(ProductService, {}, { web, log });
  const socket = connect({ host: "127.0.0.1", port });
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await asked.promise;
  socket.destroy();
  await answered.promise;
  expect(await (await fetch(`${url}/next`)).text()).toBe("next");
  expect(lines).toEqual([]);
});
