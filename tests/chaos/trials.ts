import { atLeast, atMost, type Bound, type Figures, type Situation } from "../scenarios/scenario.ts";
import { type Loss, loseAtBroker } from "./broker-loss.ts";
import type { Plan } from "./plan.ts";
import { publishRawWhileKilling } from "./raw-publish.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

/** A fault, or many, that events must survive. */
export interface Trial extends Situation {
  run(stage: Stage): Promise<Figures>;
}

const NONE = atMost(0);
const SOME = atLeast(1);
/** What holds whatever fails. */
const ALL_IS_WELL: Readonly<Record<string, Bound>> = {
  lost: NONE,
  doubled: NONE,
  "out of order": NONE,
  invented: NONE,
  "dead-lettered": NONE,
  crashes: NONE,
  "quiet after s": atMost(60),
};

const everyPart = ({ broker, postgres, relays, consumers }: System) => [
  broker,
  postgres,
  ...relays,
  ...consumers,
];

/** How a trial is run, if not as usual. */
interface Ways {
  readonly plan?: Partial<Plan>;
  /** How long nothing may move before it is taken for the end. Milliseconds. */
  readonly stillMs?: number;
}

/** Runs on a system of its own, and says what came of it. */
async function onSystem(
  stage: Stage,
  act: (system: System) => Promise<void>,
  { plan, stillMs }: Ways = {},
): Promise<Figures> {
  await using system = await openSystem(stage, plan);
  await act(system);
  const quietAfterS = await system.untilQuiet(stillMs);
  return { ...(await system.verdict()), "quiet after s": quietAfterS };
}

const everythingDies = (guard: Plan["guard"]) => (stage: Stage) =>
  onSystem(stage, (system) => system.produceWhileKilling(everyPart(system)), { plan: { guard } });

const brokerLoses =
  (loss: Loss, ways: Ways = {}) =>
  (stage: Stage) =>
    onSystem(stage, (system) => loseAtBroker(stage, system, loss), ways);

/** All of them, in the order of their ids. */
export const TRIALS: readonly Trial[] = [
  {
    id: "F0",
    what: "nothing fails",
    expects: ALL_IS_WELL,
    run: (stage) => onSystem(stage, (system) => system.produce()),
  },
  {
    id: "F1",
    what: "the broker is killed while it is published to without an outbox",
    expects: { lost: NONE, doubled: NONE },
    run: publishRawWhileKilling,
  },
  {
    id: "F2",
    what: "broker, database, relays and consumers are killed",
    expects: ALL_IS_WELL,
    run: everythingDies("gate"),
  },
  {
    id: "F3",
    what: "control: the same without an inbox",
    expects: { lost: NONE, doubled: SOME, "out of order": SOME },
    run: everythingDies("none"),
  },
  {
    id: "F3",
    what: "control: the same with an inbox of ids",
    expects: { lost: NONE, doubled: NONE, "out of order": SOME },
    run: everythingDies("inbox"),
  },
  {
    id: "F4",
    what: "the broker's disk is wiped; relays and consumers are killed",
    expects: ALL_IS_WELL,
    run: brokerLoses("wiped"),
  },
  {
    id: "F5",
    what: "the broker's disk is rolled back; relays and consumers are killed",
    expects: ALL_IS_WELL,
    run: brokerLoses("rolled back"),
  },
  {
    id: "F5",
    what: "the broker's messages are rolled back, its consumers are not; relays and consumers are killed",
    expects: ALL_IS_WELL,
    run: brokerLoses("messages rolled back"),
  },
  {
    id: "F6",
    what: "control: the broker's disk is rolled back, and nobody looks for what it has lost",
    expects: { lost: SOME, doubled: NONE },
    run: brokerLoses("rolled back", { plan: { audits: false }, stillMs: 5_000 }),
  },
];
