import { Code, ConnectError } from "@connectrpc/connect";
import type { Policies } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import { currentWork } from "../../core/work.ts";
import type { Admission, Arrival, Refusal, Verdict } from "../../resilience/admission.ts";
import type { ServiceTimes } from "../../resilience/service-time.ts";
import { arrivingCall } from "./begin-work.ts";
import { type ArrivingCall, type Gate, isForOperators } from "./gate.ts";
import { overdue } from "./overdue.ts";
import { shed } from "./shed.ts";

/** What decides about calls. */
export interface AdmitOptions {
  readonly admission: Admission;
  readonly times: ServiceTimes;
  readonly policies: Policies;
  readonly clock: Clock;
  /** How many calls may stand aside; those beyond keep their permit while they wait. Defaults to 1,000. */
  readonly maxAside?: number;
}

/**
 * Lets unary calls in as the admission says, and refuses the others with SHED. A call for operators needs no permit, and
 * a stream takes none: a watch would hold it for ever. A handler that only waits gives its permit back ({@link standAside}).
 */
export function admitCalls(options: AdmitOptions): Gate {
  const { admission, times, policies, clock, maxAside = 1_000 } = options;
  let aside = 0;
  const needsPermit = ({ method }: ArrivingCall) =>
    method.methodKind === "unary" && !isForOperators(method.parent);
  const arrival = ({ method, deadlineMs }: ArrivingCall, signal?: AbortSignal): Arrival => {
    const { name, timeoutMs } = policies.method(method);
    const minUsefulMs = times.minUsefulMs(name, timeoutMs);
    const minAtOnceMs = times.minAtOnceMs(name, timeoutMs);
    return signal
      ? { deadlineMs, minUsefulMs, minAtOnceMs, signal }
      : { deadlineMs, minUsefulMs, minAtOnceMs };
  };
  const toError = ({ reason, pushbackMs }: Refusal) => shed(reason, pushbackMs);
  return {
    refusal(call) {
      const refusal = needsPermit(call) && admission.refusal(call.criticality, arrival(call));
      return refusal ? toError(refusal) : undefined;
    },
    interceptor: (next) => async (request) => {
      const work = currentWork();
      const call = work && arrivingCall(request.method, work);
      if (!call || !needsPermit(call)) return next(request);
      const { signal } = request;
      const answer = admission.acquire(call.criticality, arrival(call, signal));
      const permit = answer instanceof Promise ? await answer : answer;
      if (!permit.isAdmitted) throw permit.reason === "gone" ? ended(signal) : toError(permit);
      const startedMs = clock.now();
      let isAside = false;
      const end = (verdict: Verdict) => {
        if (isAside) return;
        if (verdict !== "ignored") times.observe(policies.method(call.method).name, clock.now() - startedMs);
        permit.release(verdict);
      };
      work.standAside = () => {
        if (isAside || aside >= maxAside) return;
        end("success");
        isAside = true;
        aside++;
      };
      try {
        const response = await next(request);
        end("success");
        return response;
      } catch (error) {
        end(verdictOf(error));
        throw error;
      } finally {
        if (isAside) aside--;
      }
    },
  };
}

/** Why a call ended whose signal has aborted. */
function ended({ reason }: AbortSignal): unknown {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded ? overdue() : reason;
}

/** What a failure says about how long the work takes: nothing, unless it took the whole way, or all the time there was. */
function verdictOf(error: unknown): Verdict {
  if (!(error instanceof AppError || error instanceof ConnectError)) return "ignored";
  switch (error.code) {
    case Code.DeadlineExceeded:
      return "dropped";
    case Code.NotFound:
    case Code.AlreadyExists:
    case Code.FailedPrecondition:
    case Code.OutOfRange:
    case Code.PermissionDenied:
      return "success";
    default:
      return "ignored";
  }
}
