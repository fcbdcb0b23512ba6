import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type Interceptor,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { Policies } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { DeliveryError } from "../../core/delivery.ts";
import { currentWork } from "../../core/work.ts";
import { type AdmissionState, admission } from "../../resilience/admission.ts";
import { gradient2 } from "../../resilience/limiter.ts";
import { serviceTimes } from "../../resilience/service-time.ts";
import { toConnectError } from "../../rpc/errors.ts";
import { admitCalls } from "../../rpc/server/admit-calls.ts";
import { beginWork, SERVER_TIMEOUTS } from "../../rpc/server/begin-work.ts";
import { refuseOverdue } from "../../rpc/server/overdue.ts";
import { raceDeadline } from "../../rpc/server/race-deadline.ts";
import type { Random } from "../random.ts";
import { work } from "./contract.ts";
import type { Distribution } from "./distributions.ts";
import { type Fault, present } from "./faults.ts";
import { workers } from "./workers.ts";

/** What a server is like. */
export interface ServerModel {
  /** How many calls it works on at a time. */
  readonly workers: number;
  /** How long the work of a call takes. */
  readonly workMs: Distribution;
  /**
   * `everything` waits in one queue without an end, and is worked on though its caller has gone. `wanted` waits the same
   * way, and is dropped if its caller has gone when its turn comes. `mesh` is what the mesh's server does.
   */
  readonly admits: "everything" | "wanted" | "mesh";
  readonly faults?: readonly Fault[];
  /** Takes the place of the work, such as a call to another server. */
  readonly handle?: (request: UnaryRequest) => Promise<void>;
}

/** What a simulated server has been through. */
export interface SimulatedServer {
  /** Answers a call, or throws what its caller sees of the error. */
  answer(request: UnaryRequest): Promise<UnaryResponse>;
  /** When each attempt came. */
  readonly attemptsAtMs: readonly number[];
  /** Milliseconds of work, and the part of it that was for callers who had gone. */
  readonly workedMs: number;
  readonly wastedMs: number;
  /** Of the mesh's admission; undefined without it. */
  state(): AdmissionState | undefined;
}

/** What a server shares with its simulation. */
export interface ServerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly policies: Policies;
}

/** A server of {@link SimulatedService}. */
export function simulatedServer(
  model: ServerModel,
  { clock, random, policies }: ServerParts,
): SimulatedServer {
  const { admits, faults = [], workMs } = model;
  const crew = workers(model.workers, clock, { worksForNobody: admits === "everything" });
  const attemptsAtMs: number[] = [];
  const length = () => {
    let ms = workMs(random);
    for (const { slowdown = 1, stallShare = 0, stallMs = 500 } of present(faults, clock.now())) {
      ms *= slowdown;
      if (stallShare > 0 && random.chance(stallShare)) ms += stallMs;
    }
    return ms;
  };

  async function handle(request: UnaryRequest): Promise<UnaryResponse> {
    // A handler of the mesh looks at the signal of its work.
    if (model.handle) await model.handle(request);
    else await crew.work(length, currentWork()?.signal ?? request.signal);
    return response(request);
  }

  const admitted = admits === "mesh" ? meshServer({ clock, random, policies }) : undefined;
  const through = (admitted?.stack ?? []).reduceRight<ReturnType<Interceptor>>(
    (next, interceptor) => interceptor(next),
    (request) => handle(request as UnaryRequest),
  );

  async function fail(): Promise<void> {
    for (const { isDead, failShare = 0, failsInMs = 1 } of present(faults, clock.now())) {
      if (isDead) {
        const cause = new DeliveryError("NOT_SENT", "nobody listens there");
        throw new ConnectError("nobody listens there", Code.Unavailable, undefined, undefined, cause);
      }
      if (failShare > 0 && random.chance(failShare)) {
        await clock.sleep(failsInMs);
        throw new ConnectError("the server is broken", Code.Unavailable);
      }
    }
  }

  return {
    async answer(request) {
      attemptsAtMs.push(clock.now());
      if (faults.length > 0) await fail();
      try {
        return (await through(request)) as UnaryResponse;
      } catch (error) {
        throw onTheWire(toConnectError(error));
      }
    },
    attemptsAtMs,
    get workedMs() {
      return crew.workedMs;
    },
    get wastedMs() {
      return crew.wastedMs;
    },
    state: () => admitted?.state(),
  };
}

/** The layers of `startServer` that decide about calls, in its order. */
function meshServer({ clock, random, policies }: ServerParts) {
  // For a machine of four processors or less.
  const calls = admission({ limiter: gradient2({ min: 8 }, clock), clock, random: random.next });
  const stack = [
    beginWork({ clock, policies, timeouts: SERVER_TIMEOUTS }),
    refuseOverdue(clock).interceptor,
    admitCalls({ admission: calls, times: serviceTimes(clock), policies, clock }).interceptor,
    raceDeadline(clock).interceptor,
  ];
  return { stack, state: () => calls.state() };
}

/** The error as another process sees it: what this one knows of it stays here. */
function onTheWire({ rawMessage, code, metadata, details }: ConnectError): ConnectError {
  const error = new ConnectError(rawMessage, code, metadata);
  error.details = details;
  return error;
}

const NO_HEADERS = new Headers();

function response({ service, method }: UnaryRequest): UnaryResponse {
  return {
    stream: false,
    service,
    method,
    header: NO_HEADERS,
    trailer: NO_HEADERS,
    message: create(work.output),
  };
}
