import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type DiscoveredOptions, untilDiscovered } from "./discovered.ts";
import { freePort } from "./ports.ts";

/** An AdminService that gives one answer after the other, the last one for ever; undefined refuses. */
async function admin(...answers: (object | undefined)[]) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    response.writeHead(answer ? 200 : 403, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { asked, port: (server.address() as AddressInfo).port };
}

const RUNNING: Readonly<Record<string, number>> = { product: 2, payment: 1 };

function discovered(options: Partial<DiscoveredOptions> & { port: number }): Promise<void> {
  const running = (service: string) => RUNNING[service] ?? 0;
  return untilDiscovered({ instance: "order-1", running, operatorToken: "", timeoutMs: 5_000, ...options });
}

const product = (...endpoints: object[]) => ({ target: "nats:///product", endpoints });

test("it waits until every instance of every target in the registry is known", async () => {
  const payment = { target: "nats:///payment", endpoints: [{}] };
  const { asked, port } = await admin(
    undefined,
    { targets: [{ target: "nats:///product" }, payment] },
    { targets: [product({}), payment] },
    { targets: [product({}, {}), payment] },
  );
  await discovered({ port, operatorToken: "secret" });
  expect(asked).toHaveLength(4);
  expect(asked[0]?.headers["mesh-operator-token"]).toBe("secret");
  expect(asked[0]?.url).toBe("/mesh.admin.v1.AdminService/GetState");
});

test("targets elsewhere are no concern, nor is a service that calls nobody", async () => {
  const { asked, port } = await admin({ targets: [{ target: "static:///127.0.0.1:7" }] }, {});
  await discovered({ port });
  await discovered({ port });
  expect(asked).toHaveLength(2);
});

test("what is not found is named in the end, and a wait can be ended from outside", async () => {
  const { port } = await admin({ targets: [product({})] });
  await expect(discovered({ port, timeoutMs: 1 })).rejects.toThrow(
    "order-1 has not found nats:///product after 0.001 s",
  );
  const nobody = await freePort();
  await expect(discovered({ port: nobody, timeoutMs: 1 })).rejects.toThrow(
    "order-1 has not found its targets",
  );
  await expect(discovered({ port, signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
});
