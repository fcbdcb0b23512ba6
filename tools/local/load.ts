import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { formatTable } from "./table.ts";

const USAGE = `Calls one method many times, in the Connect protocol, each call once, and says what was answered. A caller that is
refused makes its next call when the server says (grpc-retry-pushback-ms).

  node tools/local/load.ts http://localhost:50051/shop.product.v1.ProductService/ListProducts

  --data JSON       the request ({}); {n} in it is the number of the call, from 1
  --header H        such as "mesh-criticality: SHEDDABLE"; may be given several times
  --calls N         calls in all (100, or with --seconds as many as there is time for)
  --seconds N       for so long
  --at-once N       calls at the same time (10)`;

const TIMEOUT_MS = 10_000;
// What "never" is taken for: here each call is another one.
const NEVER_MS = 1_000;

/** Which calls are made. */
export interface LoadOptions {
  /** The method, such as "http://localhost:50051/shop.product.v1.ProductService/ListProducts". */
  readonly url: string;
  /** The request as JSON; `{n}` in it is the number of the call, from 1. */
  readonly data: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly calls: number;
  readonly atOnce: number;
  /** No call begins later. Defaults to never. */
  readonly forMs?: number;
}

/** How long the calls took that were answered alike, by what was answered. Milliseconds. */
export type Answers = ReadonlyMap<string, readonly number[]>;

/**
 * Makes the calls, so many at a time, each once. What goes wrong is an answer too. A caller that is told when to come back
 * waits until then.
 */
export async function load(options: LoadOptions): Promise<Answers> {
  const { calls, atOnce, forMs = Number.POSITIVE_INFINITY } = options;
  const answers = new Map<string, number[]>();
  const endMs = performance.now() + forMs;
  let made = 0;
  const callers = Array.from({ length: atOnce }, async () => {
    while (made < calls && performance.now() < endMs) {
      const startedMs = performance.now();
      const { answer, waitMs } = await call(options, ++made);
      answers.set(answer, [...(answers.get(answer) ?? []), performance.now() - startedMs]);
      if (performance.now() + waitMs >= endMs) return;
      if (waitMs > 0) await sleep(waitMs);
    }
  });
  await Promise.all(callers);
  return answers;
}

/** The answers as a table, the most frequent first. */
export function describeLoad(answers: Answers): string {
  const rows = [...answers]
    .sort(([, one], [, other]) => other.length - one.length)
    .map(([answer, times]) => {
      const sorted = times.toSorted((a, b) => a - b);
      const at = (share: number) => `${Math.round(sorted[Math.floor(sorted.length * share)] ?? 0)} ms`;
      return [answer, String(times.length), at(0.5), at(0.99)];
    });
  return formatTable([["answer", "calls", "p50", "p99"], ...rows]);
}

/** What was answered, and how long the caller is asked to wait. */
interface Answer {
  readonly answer: string;
  readonly waitMs: number;
}

async function call({ url, data, headers }: LoadOptions, number: number): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "connect-protocol-version": "1",
        "connect-timeout-ms": String(TIMEOUT_MS),
        ...headers,
      },
      body: data.replaceAll("{n}", String(number)),
    });
    if (response.ok) {
      await response.arrayBuffer();
      const degraded = response.headers.get("trailer-mesh-degraded");
      return { answer: degraded === null ? "ok" : `ok (mesh-degraded: ${degraded})`, waitMs: 0 };
    }
    const pushbackMs = Number(response.headers.get("grpc-retry-pushback-ms") ?? 0);
    return {
      answer: describeError((await response.json()) as ConnectErrorJson),
      waitMs: pushbackMs < 0 ? NEVER_MS : pushbackMs,
    };
  } catch (error) {
    return { answer: `no answer (${(error as Error).message})`, waitMs: 0 };
  }
}

/** An error as the Connect protocol writes it. */
interface ConnectErrorJson {
  readonly code?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

/** The code, and the reason of its ErrorInfo. */
function describeError({ code = "unknown", details = [] }: ConnectErrorJson): string {
  const info = details.find(({ type }) => type === ErrorInfoSchema.typeName);
  const reason = info && fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason;
  return [code, reason].filter(Boolean).join(" ");
}

function readArguments(): LoadOptions | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      data: { type: "string", default: "{}" },
      header: { type: "string", multiple: true, default: [] },
      calls: { type: "string" },
      seconds: { type: "string" },
      "at-once": { type: "string", default: "10" },
      help: { type: "boolean", short: "h" },
    },
  });
  const [url] = positionals;
  if (values.help || url === undefined) return undefined;
  const headers = values.header.map((header) => {
    const [name = "", value = ""] = header.split(/:\s*/, 2);
    return [name, value];
  });
  return {
    url,
    data: values.data,
    headers: Object.fromEntries(headers),
    calls: Number(values.calls ?? (values.seconds === undefined ? 100 : Number.POSITIVE_INFINITY)),
    atOnce: Number(values["at-once"]),
    ...(values.seconds !== undefined && { forMs: Number(values.seconds) * 1_000 }),
  };
}

if (import.meta.main) {
  const options = readArguments();
  console.log(options ? describeLoad(await load(options)) : USAGE);
}
