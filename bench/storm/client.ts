import { ConnectError } from "@connectrpc/connect";
import { openTarget } from "../../mesh/rpc/client/client.ts";
import { reasonOf } from "../../mesh/rpc/errors.ts";
import { SimulatedService, work } from "../../mesh/testing/simulator/contract.ts";
import type { CallRecord } from "../../mesh/testing/simulator/results.ts";
import { variantOf } from "../../mesh/testing/simulator/variants.ts";
import type { ClientPlan } from "./plan.ts";

// Started by processes.ts: it is sent a plan, and answers with what became of its calls.
process.once("disconnect", () => process.exit());
process.once("message", async (plan: ClientPlan) => process.send?.(await call(plan)));
process.send?.("ready");

async function call({ ports, rps, forMs, variant, header }: ClientPlan): Promise<CallRecord[]> {
  const endpoints = ports.map((port) => ({ host: "127.0.0.1", port }));
  const target = openTarget(
    { target: { scheme: "static", endpoints }, protocol: "grpc", service: SimulatedService },
    { policies: variantOf(variant) },
  );
  const records: CallRecord[] = [];
  const begunMs = performance.now();
  const now = () => performance.now() - begunMs;

  async function once(): Promise<void> {
    const startedMs = now();
    let failure: CallRecord["failure"];
    try {
      await target.unary(work, undefined, undefined, header, {});
    } catch (error) {
      failure = { code: ConnectError.from(error).code, reason: reasonOf(error)?.reason };
    }
    records.push({ client: 0, startedMs, tookMs: now() - startedMs, failure });
  }

  const running = new Set<Promise<void>>();
  let nextMs = 0;
  while (nextMs < forMs) {
    nextMs += (-1_000 / rps) * Math.log(1 - Math.random());
    const waitMs = nextMs - now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const one: Promise<void> = once().finally(() => running.delete(one));
    running.add(one);
  }
  await Promise.all(running);
  target.close();
  return records;
}
