import { createRegistry, equals, type Message } from "@bufbuild/protobuf";
import { Code, type Interceptor, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import type { Policies } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { raceSignal } from "../../core/race.ts";
import { currentWork } from "../../core/work.ts";
import { toConnectError } from "../errors.ts";
import { watchCaller } from "./overdue.ts";

type Next = ReturnType<Interceptor>;

interface Running {
  readonly message: Message;
  readonly answer: Promise<UnaryResponse>;
}

// What a copy depends on besides the request: who asks, and how the answer is written.
const SAME = ["authorization", "content-type", "accept-encoding", "grpc-accept-encoding"];

// The first one's trouble, not the request's: whoever else asks may fare better.
const NOT_SHARED = [Code.Canceled, Code.DeadlineExceeded, Code.Unavailable, Code.ResourceExhausted];

// What this contract does not know is compared too.
const BYTES_COUNT = { registry: createRegistry(), unknown: true };

/**
 * While a call with an idempotency key runs, the same call by the same caller waits for its answer instead of running
 * too, as long as its own deadline and caller let it. A failure that another attempt may mend is not shared: the next
 * one that waits runs itself. Other content under the key passes, for the store to refuse it. The store, which does the
 * same for calls that come later, is told for how long.
 */
export function joinDuplicates(policies: Policies, clock: Clock, maxRunning = 1_000): Interceptor {
  const running = new Map<string, Running>();

  return (next) => (request) => {
    if (request.stream) return next(request);
    const { keyField, dedupeTtlMs } = policies.method(request.method);
    const key = keyOf(request, keyField);
    if (key === undefined) return next(request);
    const work = currentWork();
    if (work) work.dedupeTtlMs = dedupeTtlMs;
    return join(next, request, key);
  };

  async function join(next: Next, request: UnaryRequest, key: string): Promise<UnaryResponse> {
    const run = () => next(request) as Promise<UnaryResponse>;
    for (let first = running.get(key); first; first = running.get(key)) {
      if (!equals(request.method.input, first.message, request.message, BYTES_COUNT)) return run();
      try {
        const { header, trailer, ...answer } = await waitFor(first.answer, request, clock);
        return { ...answer, header: new Headers(header), trailer: new Headers(trailer) };
      } catch (error) {
        if (error instanceof LeftError) throw error.cause;
        if (!NOT_SHARED.includes(toConnectError(error).code)) throw error;
      }
    }
    if (running.size >= maxRunning) return run();
    // Forgotten before anybody who waits learns of it, so that the next one to run finds its place free.
    const answer = run().finally(() => running.delete(key));
    running.set(key, { message: request.message, answer });
    return answer;
  }
}

function keyOf({ method, message, header }: UnaryRequest, field: string | undefined): string | undefined {
  const key = field && (message as unknown as Record<string, unknown>)[field];
  if (typeof key !== "string" || key === "") return undefined;
  return [method.parent.typeName, method.name, ...SAME.map((name) => header.get(name)), key].join("\n");
}

/** Says that not the answer failed, but the wait for it. */
class LeftError extends Error {
  override readonly name = "LeftError";
}

async function waitFor<T>(answer: Promise<T>, { signal }: UnaryRequest, clock: Clock): Promise<T> {
  const left = new AbortController();
  const deadlineMs = currentWork()?.deadlineMs ?? Number.POSITIVE_INFINITY;
  const stop = watchCaller(clock, deadlineMs, signal, (cause) =>
    left.abort(new LeftError("the caller does not wait any longer", { cause })),
  );
  try {
    return await raceSignal(answer, left.signal);
  } finally {
    stop();
  }
}
