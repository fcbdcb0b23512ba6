import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { isHealthy, untilHealthy } from "./health.ts";
import { freePort } from "./ports.ts";
import type { Supervised } from "./supervise.ts";

async function serve(statuses: number[]): Promise<number> {
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/healthz" ? (statuses.shift() ?? 200) : 404;
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function supervised(restarts: () => number): Supervised {
  return {
    name: "order-1",
    pid: 1,
    lastLines: ["first", "Error: no table orders"],
    get restarts() {
      return restarts();
    },
    ...{ stop: async () => {}, start() {}, restart: async () => {}, kill() {} },
  };
}

test("only 200 on /healthz is healthy", async () => {
  const port = await serve([503, 200]);
  expect(await isHealthy(port)).toBe(false);
  expect(await isHealthy(port)).toBe(true);
  expect(await isHealthy(await freePort())).toBe(false);
});

test("it waits until the process is healthy", async () => {
  const port = await serve([503, 503]);
  await untilHealthy({ supervised: supervised(() => 0), port }, 5000);
});

test("what keeps dying is given up early, with its last lines", async () => {
  let restarts = 0;
  const waiting = untilHealthy({ supervised: supervised(() => restarts++), port: await freePort() }, 60_000);
  await expect(waiting).rejects.toThrow(
    /order-1 does not stay up\. Its last lines:\n {2}first\n {2}Error: no table orders/,
  );
});

test("what takes too long is given up, and a wait can be ended from outside", async () => {
  const port = await freePort();
  await expect(untilHealthy({ supervised: supervised(() => 0), port }, 1)).rejects.toThrow(
    `order-1 is not healthy after 0.001 s (http://127.0.0.1:${port}/healthz)`,
  );
  const waiting = untilHealthy({ supervised: supervised(() => 0), port }, 60_000, AbortSignal.abort());
  await expect(waiting).rejects.toThrow(/abort/);
});
