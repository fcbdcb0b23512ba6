import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { expect, inject, test } from "vitest";
import { Kind } from "../../gen/mesh/event/v1/event_pb.ts";
import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { freePort } from "../../tools/local/ports.ts";
import { supervise } from "../../tools/local/supervise.ts";
import { eventContract } from "../contract/event.ts";
import { atEnd } from "../testing/at-end.ts";
import { toys } from "../testing/toys.ts";
import { until } from "../testing/until.ts";
import { PARTITIONS, partitionOf, subjectOf, subjectsOf } from "./subject.ts";

test("the partition of a key is FNV-1a of 32 bits, modulo 64", () => {
  // The hashes are those of the algorithm's authors, for these texts.
  const hashes: [string, number][] = [
    ["", 0x811c9dc5],
    ["a", 0xe40c292c],
    ["b", 0xe70c2de5],
    ["foo", 0xa9f37ed7],
    ["foob", 0x3f5076ef],
    ["fooba", 0x39aaa18a],
    ["foobar", 0xbf9cf968],
    ["chongo was here!\n", 0xd49930d5],
  ];
  for (const [key, hash] of hashes) {
    expect(partitionOf(key)).toBe(`p${String(hash % 64).padStart(2, "0")}`);
  }
});

test("a key's bytes are those of its UTF-8", () => {
  // 0xc3 0xa9, computed by hand with the two steps of the algorithm.
  let hash = 0x811c9dc5n;
  for (const byte of [0xc3n, 0xa9n]) hash = ((hash ^ byte) * 0x01000193n) & 0xffffffffn;
  expect(partitionOf("é")).toBe(`p${String(hash % 64n).padStart(2, "0")}`);
});

test("nats-server puts a key into the same partition", async () => {
  const port = await freePort();
  const dir = mkdtempSync(join(inject("testDir"), "partition-"));
  const config = join(dir, "server.conf");
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\nmappings = { "key.*": "partition.{{partition(${PARTITIONS},1)}}.{{wildcard(1)}}" }\n`,
  );
  const server = supervise({
    name: "NATS",
    command: inject("natsServer"),
    args: ["-c", config],
    env: {},
    tie: "none",
    outputFile: join(dir, "server.log"),
  });
  atEnd(async () => {
    await server.stop();
    rmSync(dir, { recursive: true });
  });
  const client = await until(() => connect({ servers: `127.0.0.1:${port}` }).catch(() => undefined));
  atEnd(() => client.close());

  const keys = ["a", "order-1", "0198f4a2-7c1e-7d3a-b0aa-1f6d5f1f2b7c", "schlüssel", "鍵", "A_b-9"];
  for (let i = 0; i < 200; i++) keys.push(`key${i * 7919}`);
  const seen = new Map<string, string>();
  const messages = client.subscribe("partition.>", { max: keys.length });
  for (const key of keys) client.publish(`key.${key}`);
  for await (const { subject } of messages) {
    const [, partition = "", key = ""] = subject.split(".");
    seen.set(key, `p${partition.padStart(2, "0")}`);
  }
  expect(seen).toEqual(new Map(keys.map((key) => [key, partitionOf(key)])));
});

test("keys spread over all partitions", () => {
  const used = new Set(Array.from({ length: 2_000 }, (_, i) => partitionOf(`order-${i}`)));
  expect(used.size).toBe(PARTITIONS);
});

test("an event's subject names its aggregate, version, partition and type, below those of its aggregate", () => {
  const subject = subjectOf(eventContract(OrderPlacedSchema), "a");
  expect(subject).toBe("evt.order.v1.p44.OrderPlaced");
  expect(subjectsOf({ kind: Kind.EVENT, aggregate: "order" })).toBe("evt.order.>");
});

test("a command's subject is below those of its receiver's commands", () => {
  const { Fetch, aggregate } = toys();
  expect(subjectOf(eventContract(Fetch), "a")).toBe(`cmd.${aggregate}.v1.p44.Fetch`);
  expect(subjectsOf(eventContract(Fetch))).toBe(`cmd.${aggregate}.>`);
});
