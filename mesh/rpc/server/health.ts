import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";

/** Whether a server takes calls, as `grpc.health.v1` tells it. */
export interface HealthSource {
  /** The services it answers for; the empty name, the server as a whole, is always one. */
  readonly services: readonly string[];
  /** Aborted from the moment the server is to get no more calls. */
  readonly leaving: AbortSignal;
}

/**
 * Answers `grpc.health.v1`: Check (an unknown service is NOT_FOUND), Watch (an unknown service is SERVICE_UNKNOWN) and
 * List.
 */
export function healthService({ services, leaving }: HealthSource): ServiceImpl<typeof Health> {
  const statusOf = (service: string) => {
    if (service !== "" && !services.includes(service)) return undefined;
    return leaving.aborted ? Status.NOT_SERVING : Status.SERVING;
  };
  return {
    check({ service }) {
      const status = statusOf(service);
      if (status === undefined)
        throw new ConnectError(`there is no service "${service}" here`, Code.NotFound);
      return { status };
    },
    list() {
      const names = ["", ...services];
      return {
        statuses: Object.fromEntries(
          names.map((name) => [name, { status: statusOf(name) ?? Status.UNKNOWN }]),
        ),
      };
    },
    async *watch({ service }, { signal }) {
      const status = statusOf(service);
      yield { status: status ?? Status.SERVICE_UNKNOWN };
      await aborted(AbortSignal.any([signal, leaving]));
      if (status !== undefined && !signal.aborted) yield { status: Status.NOT_SERVING };
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
