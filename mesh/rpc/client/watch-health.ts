import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import type { Clock } from "../../core/clock.ts";

// gRPC's connection backoff, with an end that suits instances which restart within seconds.
const FIRST_MS = 250;
const GROWTH = 1.6;
const MOST_MS = 5_000;

/**
 * Follows what an endpoint says of its health (`grpc.health.v1` Watch, gRFC A17): one that does not offer it is
 * healthy; one whose stream breaks is asked again at once, since its connection may only have become too old, and if
 * that fails too it does not serve until it answers. Returns the function that ends it.
 */
export function watchHealth(
  transport: Transport,
  { clock, random }: { readonly clock: Clock; readonly random: () => number },
  onServing: (isServing: boolean) => void,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;

  async function follow(): Promise<void> {
    const health = createClient(Health, transport);
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        for await (const { status } of health.watch({ service: "" }, { signal })) {
          if (signal.aborted) return;
          failures = 0;
          onServing(status === Status.SERVING);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ConnectError && error.code === Code.Unimplemented) return onServing(true);
      }
      if (failures > 0) {
        onServing(false);
        const waitMs = Math.min(MOST_MS, FIRST_MS * GROWTH ** (failures - 1));
        await clock.sleep(waitMs * (0.8 + 0.4 * random()), signal);
      }
    }
  }

  void follow();
  return () => stop.abort();
}
