import { atLeast, atMost, type Bound, type Figures, type Situation, within } from "../scenarios/scenario.ts";
import { type Loss, loseAtBroker } from "./broker-loss.ts";
import { comeBackLate, comeLate } from "./expired-history.ts";
import { freeze, loseDatabase, restartInTurn } from "./interruptions.ts";
import type { Plan } from "./plan.ts";
import { survivePoison } from "./poison.ts";
import { publishRawWhileKilling } from "./raw-publish.ts";
import { sellWhileKilling } from "./sagas.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

/** A fault, or many, that events must survive. */
export interface Trial extends Situation {
  run(stage: Stage): Promise<Figures>;
}

const NONE = atMost(0);
const SOME = atLeast(1);
// A bound for what is stuck, not a measure: a busy machine takes its time.
const BOUNDED = atMost(300);
/** What holds whatever fails. */
const ALWAYS: Readonly<Record<string, Bound>> = {
  lost: NONE,
  doubled: NONE,
  "out of order": NONE,
  invented: NONE,
};
/** What holds while nothing is wrong with the events themselves. */
const ALL_IS_WELL: Readonly<Record<string, Bound>> = {
  ...ALWAYS,
  "dead-lettered": NONE,
  crashes: NONE,
  "quiet after s": BOUNDED,
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
  {
    id: "F7",
    what: "1 % of the events are refused, 1 % fail three times, 0.1 % kill their process; then all is mended and replayed",
    expects: {
      ...ALWAYS,
      "dead letters too few or too many": NONE,
      "left in the DLQ": NONE,
      // The process dies ten times of each deadly event and is away a little longer each time, while its other events wait.
      "buried after s": atMost(1_800),
      "quiet after s": BOUNDED,
    },
    run: survivePoison,
  },
  {
    id: "F8",
    what: "the consumers are restarted in order ten times",
    // Whatever a consumer does not finish it gives back, and what was on its way to one that is gone the broker takes back
    // by itself: nothing waits until the broker's patience is over, and the others go on. How far they are behind is a figure.
    expects: { ...ALL_IS_WELL, "given back": SOME, "waited for in vain": NONE, "longest gap s": atMost(2) },
    run: restartInTurn,
  },
  {
    id: "F9",
    what: "the shop sells while everything is killed; 5 % are declined, 5 % out of stock, 2 % never paid nor refused",
    expects: {
      "not terminal": NONE,
      "captured but not confirmed, or the other way round": NONE,
      "committed but not confirmed, or the other way round": NONE,
      "announced not exactly once": NONE,
      "pieces lost": within(0, 0),
      "left reserved": NONE,
      "left authorized": NONE,
      "given up when time was up": SOME,
      "silent but not given up": NONE,
      "all terminal after s": atMost(90),
    },
    run: sellWhileKilling,
  },
  {
    id: "F10",
    what: "the database is away for a while",
    expects: {
      ...ALL_IS_WELL,
      "given back a second while it is away": atMost(10),
      "attempts counted": NONE,
      "quiet after s": atMost(30),
    },
    run: loseDatabase,
  },
  {
    id: "F11",
    what: "clocks are five minutes ahead and behind; everything is killed",
    expects: ALL_IS_WELL,
    run: (stage) =>
      onSystem(stage, (system) => system.produceWhileKilling(everyPart(system)), {
        plan: { clockSkewMs: 300_000 },
      }),
  },
  {
    id: "F12",
    what: "the broker, then each consumer, stands still for longer than the broker waits for answers, and goes on",
    expects: ALL_IS_WELL,
    run: (stage) => onSystem(stage, (system) => freeze(stage, system)),
  },
  {
    id: "F13",
    what: "a consumer comes late: half of the stream has expired",
    expects: ALL_IS_WELL,
    run: (stage) => onSystem(stage, comeLate),
  },
  {
    id: "F13",
    what: "consumers come back: half of what they missed has expired, and its owner publishes it again",
    expects: ALL_IS_WELL,
    run: (stage) => comeBackLate(stage, { resends: true }),
  },
  {
    id: "F13",
    what: "consumers come back: half of what they missed has expired for good; what is left is replayed",
    expects: {
      ...ALWAYS,
      crashes: NONE,
      "dead-lettered": SOME,
      "dead letters too few or too many": NONE,
      "handled before the replay": NONE,
      "buried after s": BOUNDED,
      "quiet after s": BOUNDED,
    },
    run: (stage) => comeBackLate(stage, { resends: false }),
  },
];
