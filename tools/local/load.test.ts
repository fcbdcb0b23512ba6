import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { describeLoad, load } from "./load.ts";
import { freePort } from "./ports.ts";

interface Given {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: object;
}

/** A method that is answered as `give` says, and what it was asked. */
async function method(give: (call: number) => Given) {
  const asked: { body: unknown; criticality: unknown; atMs: number }[] = [];
  let [running, most] = [0, 0];
  const server = createServer(async (request, response) => {
    most = Math.max(most, ++running);
    let text = "";
    for await (const chunk of request) text += chunk;
    const criticality = request.headers["mesh-criticality"];
    asked.push({ body: JSON.parse(text), criticality, atMs: performance.now() });
    const { status = 200, headers = {}, body = {} } = give(asked.length);
    running--;
    response.writeHead(status, headers).end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.B/C`;
  return { url, asked, most: () => most };
}

function shed(pushback: string): Given {
  const value = toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "SHED", domain: "mesh.weft" }));
  const details = [{ type: "google.rpc.ErrorInfo", value: Buffer.from(value).toString("base64") }];
  return {
    status: 503,
    headers: { "grpc-retry-pushback-ms": pushback },
    body: { code: "unavailable", details },
  };
}

const ONCE = { data: "{}", headers: {}, calls: 1, atOnce: 1 };

test("answers are told apart by their code and reason, or by how they are degraded, and counted", async () => {
  const degraded = { headers: { "trailer-mesh-degraded": "stale" } };
  const answers: Given[] = [{}, shed("0"), degraded, { status: 404, body: { code: "not_found" } }, {}];
  const { url } = await method((call) => answers[call - 1] ?? {});
  const found = await load({ ...ONCE, url, calls: 5 });
  expect([...found].map(([answer, times]) => [answer, times.length])).toEqual([
    ["ok", 2],
    ["unavailable SHED", 1],
    ["ok (mesh-degraded: stale)", 1],
    ["not_found", 1],
  ]);
  expect(describeLoad(found)).toMatch(
    /^answer +calls +p50 +p99\nok +2 +\d+ ms +\d+ ms\nunavailable SHED +1 /,
  );
});

test("calls are numbered, carry their headers, and are so many at a time", async () => {
  const { url, asked, most } = await method(() => ({}));
  const headers = { "mesh-criticality": "SHEDDABLE" };
  await load({ url, data: '{ "id": "p-{n}" }', headers, calls: 20, atOnce: 4 });
  const ids = asked.map(({ body }) => (body as { id: string }).id);
  expect(ids.toSorted()).toEqual(Array.from({ length: 20 }, (_, n) => `p-${n + 1}`).toSorted());
  expect(new Set(asked.map(({ criticality }) => criticality))).toEqual(new Set(["SHEDDABLE"]));
  expect(most()).toBeLessThanOrEqual(4);
});

test("a caller that is refused comes back when the server says, and not after the time is over", async () => {
  const { url, asked } = await method((call) => (call === 1 ? shed("80") : {}));
  await load({ ...ONCE, url, calls: 2 });
  // Whole milliseconds: a timer may be early by a part of one.
  expect(Math.ceil((asked[1]?.atMs ?? 0) - (asked[0]?.atMs ?? 0))).toBeGreaterThanOrEqual(80);

  const busy = await method(() => shed("-1"));
  await load({ ...ONCE, url: busy.url, calls: Number.POSITIVE_INFINITY, forMs: 900 });
  expect(busy.asked).toHaveLength(1);
});

test("where nobody listens there is no answer", async () => {
  const found = await load({ ...ONCE, url: `http://127.0.0.1:${await freePort()}/a.B/C` });
  expect([...found.keys()]).toEqual(["no answer (fetch failed)"]);
});
