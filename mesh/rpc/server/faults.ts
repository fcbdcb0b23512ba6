import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, type Interceptor } from "@connectrpc/connect";
import { type Fault, SetFaultsRequestSchema } from "../../../gen/mesh/admin/v1/admin_service_pb.ts";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { MESH_DOMAIN, refuseByMesh } from "../../contract/reasons.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { Setting } from "../../core/config.ts";
import { AppError } from "../../core/errors.ts";
import { currentWork } from "../../core/work.ts";
import { isForOperators } from "./gate.ts";
import { violationsOf } from "./validation.ts";

/** Whether an instance fails on demand, and how from the start. */
export interface FaultSettings {
  readonly isOn: boolean;
  readonly faults: readonly Fault[];
}

/** Faults on demand, at one instance. */
export interface Faults {
  readonly interceptor: Interceptor;
  readonly present: () => readonly Fault[];
  /** Puts these in the place of those that are on. Throws FAULTS_OFF if the setting does not allow faults. */
  set(faults: readonly Fault[]): void;
}

/**
 * The setting of faults on demand: `off`, which is the default; `on`, for an operator to switch them; or the faults to
 * begin with, as the JSON of `mesh.admin.v1.SetFaultsRequest`.
 */
export function faultSetting(name: string): Setting<FaultSettings> {
  return {
    name,
    fallback: { isOn: false, faults: [] },
    parse(raw) {
      if (raw === "off" || raw === "on") return { isOn: raw === "on", faults: [] };
      try {
        const request = fromJson(SetFaultsRequestSchema, JSON.parse(raw) as JsonValue);
        const [wrong] = violationsOf(SetFaultsRequestSchema, request);
        if (wrong) throw new Error(`${wrong.field} ${wrong.description}`);
        return { isOn: true, faults: request.faults };
      } catch (error) {
        throw new Error(
          `must be off, on or the JSON of mesh.admin.v1.SetFaultsRequest: ${(error as Error).message}`,
        );
      }
    },
  };
}

/** What faults need. */
export interface FaultOptions {
  readonly settings: FaultSettings;
  /** True if a call's headers prove that its caller is an operator. */
  readonly isOperator: (header: Headers) => boolean;
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to Math.random. */
  readonly random?: () => number;
}

/** What spoils one call. */
interface Spoil {
  readonly delayMs: number;
  readonly code: Code | undefined;
}

const NOTHING: Spoil = { delayMs: 0, code: undefined };
const MAX_DELAY_MS = 60_000;

/**
 * Makes calls slow, or fail, before their handler sees them: those of the methods that the faults name, and any one
 * call whose headers ask for it (`x-envoy-fault-delay-request` in milliseconds, `x-envoy-fault-abort-grpc-request` as a
 * code's number, gRFC A33), from operators only. Does nothing unless the setting allows it; health, reflection and
 * administration are never spoiled.
 */
export function faultsOnDemand(options: FaultOptions): Faults {
  const { settings, isOperator, clock = systemClock, random = Math.random } = options;
  let present = settings.faults;

  const chance = (percent: number) => percent === 0 || random() * 100 < percent;
  const byRule = (service: string, method: string): Spoil => {
    const fault = present.find((each) => names(each.method, service, method));
    if (!fault) return NOTHING;
    const delayMs = fault.delay && chance(fault.delayPercent) ? durationMs(fault.delay) : 0;
    return {
      delayMs,
      code: fault.code !== 0 && chance(fault.codePercent) ? (fault.code as number as Code) : undefined,
    };
  };

  const interceptor: Interceptor = (next) => async (request) => {
    const { service, method, header } = request;
    if (isForOperators(service)) return next(request);
    const { delayMs, code } = byHeader(header, isOperator) ?? byRule(service.typeName, method.name);
    if (delayMs > 0) {
      const signal = currentWork()?.signal ?? request.signal;
      await clock.sleep(delayMs, signal);
      // Given up while it slept, a call has been answered: its handler must not begin for nobody.
      signal.throwIfAborted();
    }
    if (code !== undefined) throw spoiled(code);
    return next(request);
  };

  return {
    interceptor: settings.isOn ? interceptor : (next) => next,
    present: () => present,
    set(faults) {
      if (!settings.isOn) {
        throw refuseByMesh(MeshError.FAULTS_OFF, "this instance was started without MESH_FAULTS=on");
      }
      present = faults;
    },
  };
}

function names(pattern: string, service: string, method: string): boolean {
  return pattern === "*" || pattern === `${service}/*` || pattern === `${service}/${method}`;
}

function byHeader(header: Headers, isOperator: (header: Headers) => boolean): Spoil | undefined {
  const delay = header.get("x-envoy-fault-delay-request");
  const abort = header.get("x-envoy-fault-abort-grpc-request");
  if ((delay === null && abort === null) || !isOperator(header)) return undefined;
  const code = Number(abort ?? Number.NaN);
  return {
    delayMs: /^\d{1,6}$/.test(delay ?? "") ? Math.min(Number(delay), MAX_DELAY_MS) : 0,
    code: Code[code] === undefined ? undefined : code,
  };
}

/** The failure that was asked for, with its code in place of the reason's own. */
function spoiled(code: Code): AppError {
  return new AppError("an operator asked for this failure", {
    code,
    reason: refuseByMesh(MeshError.FAULT_INJECTED, "").reason,
    domain: MESH_DOMAIN,
  });
}
