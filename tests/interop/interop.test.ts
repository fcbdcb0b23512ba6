import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CASES, type CaseName, COMPRESSED } from "./cases.ts";
import { countingProxy } from "./counting-proxy.ts";
import { connectNodeClient, connectNodeServer } from "./peers/connect-node.ts";
import { buildGrpcGo, casesOfGrpcGo, grpcGoClient, grpcGoServer } from "./peers/grpc-go.ts";
import { grpcJsClient } from "./peers/grpc-js-client.ts";
import { grpcJsServer } from "./peers/grpc-js-server.ts";
import { MESH_CLIENTS, MESH_SERVERS } from "./peers/mesh.ts";
import type { Cannot } from "./peers/peer.ts";

const CLIENTS = [...MESH_CLIENTS, grpcJsClient, connectNodeClient, grpcGoClient];
const SERVERS = [...MESH_SERVERS, grpcJsServer, connectNodeServer, grpcGoServer];
const NAMES = Object.keys(CASES) as CaseName[];
/** What two peers that are none of ours cannot do with each other. */
const BETWEEN_OTHERS: Readonly<Record<string, Cannot>> = {
  "grpc-js at grpc-go": {
    "a call that is not answered in time is DEADLINE_EXCEEDED":
      "grpc-go resets the stream at its deadline, and grpc-js says CANCELLED if that comes before its own timer",
  },
  "connect-node at grpc-go": {
    "a call that is not answered in time is DEADLINE_EXCEEDED": "connect-node says CANCELED then, too",
  },
};
// The first time, Go compiles grpc-go.
const BUILD_WITHIN_MS = 170_000;

beforeAll(() => buildGrpcGo(() => {}), BUILD_WITHIN_MS);

test("the peer in Go has the same cases", async () => {
  expect(await casesOfGrpcGo()).toEqual([...NAMES].sort());
});

describe.each(SERVERS)("at the server of $name,", (server) => {
  let running: Awaited<ReturnType<typeof server.start>>;
  beforeAll(async () => {
    running = await server.start();
  });
  afterAll(() => running.stop());

  describe.each(CLIENTS)("for the client of $name:", (client) => {
    test.for(NAMES)("%s", async (name, { skip }) => {
      const pair = `${client.name} at ${server.name}`;
      const reason = client.cannot?.[name] ?? server.cannot?.[name] ?? BETWEEN_OTHERS[pair]?.[name];
      if (reason !== undefined) skip(reason);
      if (name !== COMPRESSED.name) return client.run(name, running.port);
      const proxy = await countingProxy(running.port);
      onTestFinished(() => proxy.close());
      await client.run(name, proxy.port);
      expect(proxy.sentBytes()).toBeLessThan(COMPRESSED.maxBytes);
      if (server.answersPlain === undefined) expect(proxy.answeredBytes()).toBeLessThan(COMPRESSED.maxBytes);
    });
  });
});
