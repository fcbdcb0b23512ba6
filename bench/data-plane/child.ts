import { holdStreams, settledMemory } from "./idle.ts";
import { type Asked, measure } from "./measure.ts";
import type { Client, Peer } from "./peer.ts";

/** What the processes are asked. */
export type Question = "cpu" | "memory" | Asked | { readonly hold: number };

/** What they answer: no answer if the client cannot do it. */
export type Reply = { readonly answer?: unknown } | { readonly failure: string };

const STREAM_WITHIN_MS = 10_000;

// Started by pair.ts: `child.ts server|client <file> <port>...`. Answers each message with one.
const [role, file, ...ports] = process.argv.slice(2);

// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit());
const tell = (message: unknown) => process.send?.(message);
// Peers are installed beside the bench only, so nothing that is checked without them names one.
const peer: Peer = await import(new URL(`../${file}.ts`, import.meta.url).href);
let client: Client | undefined;

if (role === "server") for (const port of ports) await peer.startServer(Number(port));
else client = await open();

process.on("message", async (asked: Question) =>
  tell(
    await answer(asked).then(
      (answer): Reply => ({ answer }),
      (error): Reply => ({ failure: String(error) }),
    ),
  ),
);
tell("ready");

function open(): Promise<Client> {
  const [first = 0, ...more] = ports.map(Number);
  return peer.openClient(first, ...more);
}

async function answer(asked: Question): Promise<unknown> {
  if (asked === "cpu") return process.cpuUsage();
  if (asked === "memory") return settledMemory();
  if (!client) throw new Error("a server is not measured with");
  if ("hold" in asked) return holdStreams(client, asked.hold, STREAM_WITHIN_MS);
  return measure(client, open, asked);
}
