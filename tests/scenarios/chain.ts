import { Code, ConnectError } from "@connectrpc/connect";
import { random } from "../../mesh/testing/random.ts";
import { work } from "../../mesh/testing/simulator/contract.ts";
import { constant, exponential } from "../../mesh/testing/simulator/distributions.ts";
import { simulate } from "../../mesh/testing/simulator/simulate.ts";
import {
  type ServerModel,
  type SimulatedServer,
  simulatedServer,
} from "../../mesh/testing/simulator/simulated-server.ts";
import { simulatedTarget } from "../../mesh/testing/simulator/simulated-target.ts";
import { NO_BREAKER, NO_BUDGET, type Variant, variantOf } from "../../mesh/testing/simulator/variants.ts";
import { virtualClock } from "../../mesh/testing/simulator/virtual-clock.ts";
import { atMost, type Scenario, within } from "./scenario.ts";

/** Breakers, which would hide what is measured, are off. */
const THREE: Variant = { retry: { maxAttempts: 3 }, service: { breaker: NO_BREAKER } };

/**
 * Clients call a server that calls one that calls one that is broken: three who may each make three attempts. Returns
 * the attempts at the broken one per call of a client. `tellsWhy` is false for servers that hide from their callers that
 * they have retried.
 */
async function chain(variant: Variant, tellsWhy = true): Promise<number> {
  const clock = virtualClock();
  const policies = variantOf(variant);
  let seed = 11;
  const parts = () => ({ clock, policies, random: random(++seed) });

  const calling = (next: SimulatedServer): ServerModel => {
    const { transport } = simulatedTarget([next], { clock, policies, random: random(++seed).next });
    return {
      workers: 1,
      workMs: constant(0),
      admits: "mesh",
      async handle() {
        try {
          await transport.unary(work, undefined, undefined, undefined, {});
        } catch (error) {
          throw tellsWhy ? error : new ConnectError("a part is away", Code.Unavailable);
        }
      },
    };
  };
  const broken: ServerModel = {
    workers: 100,
    workMs: exponential(5),
    admits: "mesh",
    faults: [{ failShare: 1 }],
  };
  const last = simulatedServer(broken, parts());
  const middle = simulatedServer(calling(last), parts());
  const { calls } = await simulate({
    seed: 1,
    forMs: 60_000,
    clock,
    servers: [calling(middle)],
    clients: [{ count: 5, rps: 4 }],
    variant,
  });
  return last.attemptsAtMs.length / calls.length;
}

export const chainScenarios: readonly Scenario[] = [
  {
    id: "R8",
    what: "a chain of three calls whose end is broken, three attempts at each",
    expects: { "attempts at the end per call": atMost(1.25) },
    run: async () => ({ "attempts at the end per call": await chain(THREE) }),
  },
  {
    id: "R8",
    what: "control: the same, but no server says that it has retried",
    expects: { "attempts at the end per call": within(1.4, 1.8) },
    run: async () => ({ "attempts at the end per call": await chain(THREE, false) }),
  },
  {
    id: "R8",
    what: "control: the same, and nobody has a budget",
    expects: { "attempts at the end per call": within(26, 27) },
    async run() {
      const service = { ...THREE.service, gate: NO_BUDGET };
      return { "attempts at the end per call": await chain({ ...THREE, service }, false) };
    },
  },
];
