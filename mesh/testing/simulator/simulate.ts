import type { Transport } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../../rpc/errors.ts";
import { type Random, random } from "../random.ts";
import { work } from "./contract.ts";
import type { CallRecord } from "./results.ts";
import { type ServerModel, type SimulatedServer, simulatedServer } from "./simulated-server.ts";
import { type SimulatedTarget, simulatedTarget } from "./simulated-target.ts";
import { type Variant, variantOf } from "./variants.ts";
import { type VirtualClock, virtualClock } from "./virtual-clock.ts";

/** Client processes that are alike. */
export interface ClientModel {
  readonly count: number;
  /** Calls per second of each. They come by chance (Poisson), whether or not earlier ones were answered. */
  readonly rps: number;
  /** Constant gaps in place of chance. Defaults to false. */
  readonly isEven?: boolean;
  /** When they begin to call. Defaults to the beginning. */
  readonly fromMs?: number;
  /** When they stop. Defaults to the end. */
  readonly toMs?: number;
  readonly header?: Readonly<Record<string, string>>;
  /** Spoils a client before its first call, as a control. */
  readonly spoil?: (target: SimulatedTarget) => void;
}

/** What is simulated. */
export interface Plan {
  readonly seed: number;
  /** How long clients call. */
  readonly forMs: number;
  readonly servers: readonly ServerModel[];
  readonly clients: readonly ClientModel[];
  /** The policies of all of them. Defaults to the mesh's. */
  readonly variant?: Variant;
  /** One that others share, such as servers behind these. Defaults to its own. */
  readonly clock?: VirtualClock;
  /** Looks at the servers, each so often. */
  readonly watch?: { readonly eachMs: number; readonly look: (world: World) => void };
}

/** What there is in a simulation. */
export interface World {
  readonly clock: VirtualClock;
  readonly servers: readonly SimulatedServer[];
  readonly targets: readonly SimulatedTarget[];
}

/** What came of it. */
export interface Results extends World {
  /** In the order in which they ended. */
  readonly calls: readonly CallRecord[];
  /** Attempts that reached servers in this time, by server. */
  attempts(fromMs?: number, toMs?: number): number[];
  /** Attempts per call that began in this time. */
  amplification(fromMs?: number, toMs?: number): number;
  /** The part of the attempts that each server got. */
  shares(fromMs?: number, toMs?: number): number[];
}

/** Runs a plan to its end: until the last call has ended. The same plan has the same results. */
export async function simulate(plan: Plan): Promise<Results> {
  const { clock = virtualClock() } = plan;
  const policies = variantOf(plan.variant);
  // Chance of its own for each part, so that one that asks more often does not change what the others get.
  let seeds = plan.seed * 7_919;
  const chance = () => random(++seeds);

  const servers = plan.servers.map((model) => simulatedServer(model, { clock, policies, random: chance() }));
  const targets: SimulatedTarget[] = [];
  const calls: CallRecord[] = [];
  let open = 0;

  for (const model of plan.clients) {
    for (let i = 0; i < model.count; i++) {
      const target = simulatedTarget(servers, { clock, policies, random: chance().next });
      model.spoil?.(target);
      const client = targets.push(target) - 1;
      arrive(clock, chance(), model, plan.forMs, () => {
        open++;
        void callOnce(clock, target.transport, client, model.header).then((record) => {
          calls.push(record);
          open--;
        });
      });
    }
  }
  const { watch } = plan;
  if (watch) {
    const look = () => {
      watch.look({ clock, servers, targets });
      if (clock.now() < plan.forMs) clock.after(watch.eachMs, look);
    };
    clock.after(watch.eachMs, look);
  }

  await clock.runUntil(plan.forMs);
  while (open > 0) await clock.runUntil(clock.now() + 1_000);

  const attempts = (fromMs = 0, toMs = Number.POSITIVE_INFINITY) =>
    servers.map(({ attemptsAtMs }) => attemptsAtMs.filter((at) => at >= fromMs && at < toMs).length);
  return {
    clock,
    servers,
    targets,
    calls,
    attempts,
    amplification(fromMs = 0, toMs = Number.POSITIVE_INFINITY) {
      const begun = calls.filter(({ startedMs }) => startedMs >= fromMs && startedMs < toMs).length;
      return sum(attempts(fromMs, toMs)) / begun;
    },
    shares(fromMs, toMs) {
      const each = attempts(fromMs, toMs);
      return each.map((count) => count / sum(each));
    },
  };
}

function arrive(
  clock: VirtualClock,
  random: Random,
  model: ClientModel,
  forMs: number,
  act: () => void,
): void {
  const gapMs = 1_000 / model.rps;
  const gap = () => (model.isEven ? gapMs : -gapMs * Math.log(1 - random.next()));
  const { fromMs = 0, toMs = forMs } = model;
  const come = () => {
    if (clock.now() >= toMs) return;
    act();
    clock.after(gap(), come);
  };
  // Even ones do not come in step.
  clock.after(fromMs + (model.isEven ? gapMs * random.next() : gap()), come);
}

async function callOnce(
  clock: VirtualClock,
  transport: Transport,
  client: number,
  header: Readonly<Record<string, string>> | undefined,
): Promise<CallRecord> {
  const startedMs = clock.now();
  let failure: CallRecord["failure"];
  try {
    await transport.unary(work, undefined, undefined, header, {});
  } catch (error) {
    failure = { code: ConnectError.from(error).code, reason: reasonOf(error)?.reason };
  }
  return { client, startedMs, tookMs: clock.now() - startedMs, failure };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}
