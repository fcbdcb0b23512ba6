import type { Size } from "./contract.ts";

/** One way of calling: what is done for a kind is in measure.ts. */
export type Case = Shown &
  (
    | { readonly kind: "unary"; readonly size: Size; readonly inFlight: number }
    | { readonly kind: "list"; readonly messages: number }
    | { readonly kind: "chat"; readonly streams: number }
    | { readonly kind: "connect"; readonly inFlight: number }
  );

/** How a case is called and shown. */
interface Shown {
  /** For `--case`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** What is counted: "calls/s". */
  readonly unit: string;
  /** How much of it one call is. Defaults to 1. */
  readonly perCall?: number;
  /** What the CPU is of: "call". */
  readonly of: string;
}

/** All that take their turns in one pair of processes, in the order of the report. */
export const CASES: readonly Case[] = [
  ...([1, 64, 512] as const).map((inFlight) => unary("20 B", inFlight)),
  ...([1, 64, 512] as const).map((inFlight) => unary("1 KiB", inFlight)),
  {
    ...unary("1 MiB", 4),
    unit: "MB/s",
    perCall: 2 ** 20 / 1_000_000,
  },
  {
    kind: "list",
    name: "list",
    title: "server stream of 100,000 messages of 20 B",
    messages: 100_000,
    unit: "messages/s",
    of: "message",
  },
  chat(1),
  chat(64),
  {
    kind: "connect",
    name: "connect",
    title: "connections with one call each, 8 at a time",
    inFlight: 8,
    unit: "connections/s",
    of: "connection",
  },
];

/** What somebody does who means well, beside an attack. */
export const NEIGHBOUR: Case = unary("20 B", 4);

function unary(size: Size, inFlight: number): Case {
  const name = `unary-${size.replace(" ", "").toLowerCase()}-${inFlight}`;
  const title = `unary, ${size}, ${inFlight} in flight`;
  return { kind: "unary", name, title, size, inFlight, unit: "calls/s", of: "call" };
}

function chat(streams: number): Case {
  const title = `stream both ways, one message of 20 B to and fro, ${streams === 1 ? "1 stream" : `${streams} streams`}`;
  return { kind: "chat", name: `chat-${streams}`, title, streams, unit: "round trips/s", of: "round trip" };
}

/** Streams that are open and do nothing, in processes of their own: for `--case`. */
export const IDLE = "idle";

/** How many of them. */
export const IDLE_STREAMS = 10_000;

/** A neighbour's calls under attack, in processes of their own: for `--case`. */
export const ATTACK = "attack";
