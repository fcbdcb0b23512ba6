import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { systemClock } from "../core/clock.ts";
import { LazyAbort, onAbort } from "../core/signal.ts";
import {
  type Attempt,
  abortKey,
  attemptOf,
  type Call,
  callOf,
  type Request,
  type Surroundings,
  timeoutKey,
} from "./call.ts";
import { MIN_TIMEOUT_MS } from "./deadline.ts";
import type { Latencies } from "./latency.ts";
import { callerLeft, overdue, rejection, unusual } from "./rejection.ts";
import { idleTimer, NO_IDLE_TIMER, touching, untilLost } from "./stream-watch.ts";
import { writeTimeoutMs } from "./timeout-header.ts";

/** What an attempt is measured by, and told. */
export interface AttemptOptions extends Surroundings {
  /** The latencies of a method; they give the timeout of an attempt whose policy states none. */
  readonly latenciesOf?: (request: Request) => Latencies | undefined;
}

// What an attempt may take, of the observed p99, and at least: a pause of a garbage collector, or a burst after a quiet
// time, must not make failures of all that is under way, and open the breaker.
const TIMES_P99 = 3;
const MIN_ATTEMPT_MS = 250;

/**
 * Bounds one attempt: by its own timeout, and by what is left of the call's time if that is less; the last attempt has
 * all of it. Tells the server how long it is waited for, and how many attempts came before (`grpc-previous-rpc-attempts`,
 * gRFC A6). It does not rely on the transport to end when its signal aborts.
 */
export function attemptTimeout(options: AttemptOptions = {}): Interceptor {
  const { clock = systemClock, latenciesOf = () => undefined } = options;

  return (next) => (request) => {
    const call = callOf(request, options);
    const attempt = attemptOf(request);
    const latencies = latenciesOf(request);
    const startedMs = clock.now();
    const totalMs = call.deadlineMs - startedMs;
    const timeoutMs = Math.min(totalMs, ownTimeoutMs(request, call, attempt, latencies));
    if (timeoutMs < MIN_TIMEOUT_MS) return Promise.reject(overdue(true));

    const { header } = request;
    if (attempt.number > 1) header.set("grpc-previous-rpc-attempts", String(attempt.number - 1));
    writeTimeoutMs(header, timeoutMs);
    request.contextValues.set(timeoutKey, timeoutMs);

    return new Promise<UnaryResponse | StreamResponse>((resolve, reject) => {
      const abort = new LazyAbort();
      const parent = request.signal;
      let lose: (error: unknown) => void = reject;
      let isOver = false;

      const end = () => {
        if (isOver) return false;
        isOver = true;
        cancelTimer();
        idle.stop();
        stay();
        return true;
      };
      const fail = (error: ConnectError) => {
        if (!end()) return;
        lose(error);
        abort.abort(error);
      };
      const leave = () => fail(callerLeft(parent.reason));
      const timeOut = () => {
        const isTotal = timeoutMs >= totalMs;
        if (!isTotal) latencies?.record(clock.now() - startedMs);
        fail(isTotal || call.policy.retry.attemptTimeoutMs !== undefined ? overdue(isTotal) : unusual());
      };

      const cancelTimer = timeoutMs === Number.POSITIVE_INFINITY ? () => {} : clock.after(timeoutMs, timeOut);
      const idle = request.stream
        ? idleTimer(clock, call.policy.idleTimeoutMs, () => fail(idled()))
        : NO_IDLE_TIMER;
      const stay = onAbort(parent, leave);
      if (parent.aborted) return leave();

      const sent = request.stream
        ? { ...request, signal: abort.signal, message: touching(request.message, idle) }
        : withSignal(request, abort);
      next(sent).then(
        (response) => {
          if (isOver) return;
          if (response.stream) {
            // The deadline and the signal hold until the last message.
            const message = untilLost(response.message, idle, end, (onLost) => {
              lose = onLost;
            });
            resolve({ ...response, message });
            return;
          }
          end();
          latencies?.record(clock.now() - startedMs);
          resolve(response);
        },
        (error) => {
          // A transport that ends because its signal aborted has nothing to add.
          if (isOver) return;
          // The transport watches the time too, and the server does; whoever is first, it is the same timeout.
          if (isOverdue(error) && clock.now() - startedMs >= Math.floor(timeoutMs) - 1) timeOut();
          else {
            end();
            reject(error);
          }
        },
      );
    });
  };
}

function ownTimeoutMs(
  request: Request,
  call: Call,
  attempt: Attempt,
  latencies: Latencies | undefined,
): number {
  const { policy, isRepeatable } = call;
  if (request.stream || attempt.isLast || !isRepeatable || policy.hedge) return Number.POSITIVE_INFINITY;
  const stated = policy.retry.attemptTimeoutMs;
  if (stated !== undefined) return stated;
  const p99 = latencies?.percentile(0.99);
  if (p99 === undefined) return Number.POSITIVE_INFINITY;
  return Math.min(Math.max(TIMES_P99 * p99, MIN_ATTEMPT_MS), policy.timeoutMs / 2);
}

/** The request with the attempt's own signal, which is made when somebody looks at it. */
function withSignal(request: UnaryRequest, abort: LazyAbort): UnaryRequest {
  request.contextValues.set(abortKey, abort);
  return {
    ...request,
    get signal() {
      return abort.signal;
    },
  };
}

function isOverdue(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.DeadlineExceeded;
}

function idled(): ConnectError {
  return rejection(MeshError.IDLE_TIMEOUT, "the stream was silent for too long", "ATTEMPT_TIMEOUT");
}
