/** A client and a server that are measured together. */
export interface Subject {
  /** For `--only`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** The file of each, from `bench/`. */
  readonly client: string;
  readonly server: string;
  readonly needsNats?: boolean;
}

/** What the others are compared with. */
export const BASE = "grpc-js";

/** What is ours on both sides. */
export const BOTH_SIDES = "weft";

/** What has a bar beside it. */
export const PROTECTED = "weft-client";

/** All that is measured, in the order of the report. */
export const SUBJECTS: readonly Subject[] = [
  peer("grpc-js", "bare grpc-js"),
  peer("connect-grpc", "bare connect-node, gRPC"),
  peer("connect-http1", "bare connect-node, Connect over HTTP/1.1"),
  peer("nice-grpc", "nice-grpc: retry, deadline"),
  peer("nestjs", "NestJS gRPC microservice"),
  peer("fastify", "fastify, undici, cockatiel (JSON)"),
  { ...peer("moleculer", "Moleculer over NATS, protections on (JSON)"), needsNats: true },
  { name: BOTH_SIDES, title: "**Weft**", client: "weft/grpc", server: "weft/grpc" },
  {
    name: "weft-connect",
    title: "**Weft**, Connect transport",
    client: "weft/connect",
    server: "weft/connect",
  },
  {
    name: "weft-observed",
    title: "**Weft**, metrics and log lines",
    client: "weft/observed",
    server: "weft/observed",
  },
  {
    name: PROTECTED,
    title: "**Weft** client, bare grpc-js server",
    client: "weft/grpc",
    server: "peers/grpc-js",
  },
  {
    name: "weft-transport",
    title: "its transport without the stack, bare grpc-js server",
    client: "weft/transport",
    server: "peers/grpc-js",
  },
  {
    name: "weft-server",
    title: "bare grpc-js client, **Weft** server",
    client: "peers/grpc-js",
    server: "weft/grpc",
  },
  {
    name: "connect-server",
    title: "bare grpc-js client, bare connect-node server",
    client: "peers/grpc-js",
    server: "peers/connect-grpc",
  },
];

function peer(name: string, title: string): Subject {
  return { name, title, client: `peers/${name}`, server: `peers/${name}` };
}

/** One way of calling. */
export interface Case {
  readonly name: string;
  readonly bytes: number;
  readonly inFlight: number;
}

/** All of them. */
export const CASES: readonly Case[] = [
  { name: "20 B, 1 in flight", bytes: 20, inFlight: 1 },
  { name: "20 B, 64 in flight", bytes: 20, inFlight: 64 },
  { name: "1 KiB, 1 in flight", bytes: 1_024, inFlight: 1 },
  { name: "1 KiB, 64 in flight", bytes: 1_024, inFlight: 64 },
];
