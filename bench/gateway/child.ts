import { setTimeout as sleep } from "node:timers/promises";
import { type Load, type Measured, putLoad } from "../calls/load.ts";

// When a caller comes back whom a server has refused because there was too much to do, there or behind, which is no failure.
const COME_BACK_MS = 50;

/** A request of HTTP. */
export interface Request {
  readonly origin: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Makes a request. */
export type Ask = (request: Request) => Promise<{ readonly status: number; readonly text: string }>;

/** A request, and how often it is made. */
export interface Asked extends Load, Request {}

/** What became of it. */
export interface MeasuredAgain extends Measured {
  /** How often a server had too much to do, and the caller came back. */
  readonly shed: number;
}

// Started by bench/gateway.ts: `child.ts proxy <port> <target>` or `child.ts client`, which answers each Asked with what it measured.
const [role, port, target = ""] = process.argv.slice(2);

// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit());
const tell = (message: unknown) => process.send?.(message);
// Peers are installed beside the bench only, so nothing that is checked without them names one.
const peer = (name: string) => import(new URL(`../peers/${name}.ts`, import.meta.url).href);

if (role === "proxy") {
  const { startProxy } = await peer("fastify-proxy");
  await startProxy(Number(port), target);
} else {
  const { openClient } = await peer("undici");
  let ask: Ask | undefined;
  process.on("message", async (asked: Asked) => {
    ask ??= openClient(asked.inFlight) as Ask;
    const to = ask;
    let shed = 0;
    const call = async (text: string) => {
      for (;;) {
        const answer = await to(asked);
        if (answer.status === 200) return text;
        if (answer.status !== 503 || !/SHED|RETRY_EXHAUSTED_DOWNSTREAM/.test(answer.text))
          throw new Error(`${answer.status}: ${answer.text}`);
        shed++;
        await sleep(COME_BACK_MS);
      }
    };
    tell({ ...(await putLoad(call, asked)), shed });
  });
}
tell("ready");
