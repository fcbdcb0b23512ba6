import { existsSync } from "node:fs";
import { join } from "node:path";

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
  /** On how many ports the server listens. Defaults to 1. */
  readonly endpoints?: number;
  /** It can be attacked as a server of HTTP/2, with nothing else in its way. */
  readonly isAttacked?: boolean;
}

/** What the others are compared with. */
export const BASE = "grpc-js";

/** Our own transport on both sides, and our whole client stack above it. */
export const [OURS, PROTECTED] = ["weft-http2", "weft-protected"] as const;

const ENDPOINTS = 3;

/** All that is measured, in the order of the report. */
export const SUBJECTS: readonly Subject[] = [
  { ...peer("grpc-js", "bare grpc-js"), isAttacked: true },
  { ...peer("connect-grpc", "bare connect-node, gRPC"), isAttacked: true },
  { ...peer("node-http2", "bare node:http2, framing of gRPC"), isAttacked: true },
  peer("fastify", "bare fastify, undici (JSON)"),
  { ...peer("moleculer", "bare Moleculer over NATS (JSON)"), needsNats: true },
  peer("tcp-floor", "floor: protobuf with its length over TCP"),
  {
    name: OURS,
    title: "**Weft**'s own transport",
    client: "weft/http2",
    server: "weft/http2",
    isAttacked: true,
  },
  peer("fastify-cockatiel", "protected: fastify, undici, cockatiel (JSON)"),
  { ...peer("moleculer-protected", "protected: Moleculer over NATS (JSON)"), needsNats: true },
  {
    name: PROTECTED,
    title: "protected: **Weft**, 3 endpoints, metrics",
    client: "weft/protected",
    server: "weft/http2",
    endpoints: ENDPOINTS,
  },
  {
    name: "weft-protected-client",
    title: "protected: **Weft** client, 3 endpoints, metrics, to bare grpc-js",
    client: "weft/protected",
    server: "peers/data-plane/grpc-js",
    endpoints: ENDPOINTS,
  },
];

function peer(name: string, title: string): Subject {
  return { name, title, client: `peers/data-plane/${name}`, server: `peers/data-plane/${name}` };
}

/** The first of its files that is not there. */
export function missingFile({ client, server }: Subject): string | undefined {
  return [client, server]
    .map((file) => `${file}.ts`)
    .find((file) => !existsSync(join(import.meta.dirname, "..", file)));
}
