import fc from "fast-check";
import { expect, test } from "vitest";
import { newId } from "../core/ids.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { random } from "../testing/random.ts";
import { advance, advanceReplayed, advanceRuns, cursorOf, judge, type Place, park } from "./gate.ts";
import type { Verdict } from "./progress.ts";

/** The gate of one key, in memory: the same steps as the statements of gate.ts, as the last test makes sure. */
class Gate {
  lastSeq = 0;
  parkedUntil = 0;

  advance(seq: number): boolean {
    if (this.lastSeq !== seq - 1 || this.parkedUntil >= seq) return false;
    this.lastSeq = seq;
    return true;
  }

  advanceRun(first: number, last: number): boolean {
    if (this.lastSeq !== first - 1 || this.parkedUntil >= first) return false;
    this.lastSeq = last;
    return true;
  }

  advanceReplayed(seq: number): boolean {
    if (this.lastSeq < seq - 1) return false;
    this.lastSeq = Math.max(this.lastSeq, seq);
    return true;
  }

  park(seq: number): boolean {
    if (Math.max(this.lastSeq, this.parkedUntil) !== seq - 1) return false;
    this.parkedUntil = seq;
    return true;
  }
}

/** How it is told why an event did not pass, and how a key is parked. */
interface Rules {
  readonly judge: (seq: number, gate: Gate) => Promise<Verdict>;
  readonly park: (seq: number, gate: Gate) => boolean;
}

const stays = async () => false;
const ours: Rules = {
  judge: (seq, { lastSeq, parkedUntil }) =>
    judge(seq, { lastSeq, parkedUntil, retryAt: null, parkedBy: null }, stays),
  park: (seq, gate) => gate.park(seq),
};

// Whatever comes while the key is parked is blocked: it takes events for dead letters that are still on their way.
const shortcut: Rules = {
  async judge(seq, gate) {
    if (gate.parkedUntil > gate.lastSeq && seq > gate.parkedUntil) return "blocked";
    return ours.judge(seq, gate);
  },
  park(seq, gate) {
    if (gate.parkedUntil <= gate.lastSeq && seq !== gate.lastSeq + 1) return false;
    gate.parkedUntil = Math.max(gate.parkedUntil, seq);
    return true;
  },
};

interface Letter {
  readonly seq: number;
  readonly deaths: number;
}

interface Replay extends Letter {
  readonly action: "retry" | "skip";
}

interface History {
  readonly events: number;
  readonly poison: readonly boolean[];
  /** What happens next, step by step; when they are used up, all goes well. */
  readonly choices: readonly number[];
}

/** One key, its consumer, its broker and an operator, of which any may die between any two steps. */
class World {
  readonly gate = new Gate();
  readonly effects: number[] = [];
  readonly discarded = new Set<number>();
  letters: Letter[] = [];
  #main: number[];
  #replays: Replay[] = [];
  #poison: Set<number>;
  readonly #settled = new Set<string>();
  readonly #rules: Rules;

  constructor({ events, poison }: History, rules: Rules) {
    this.#rules = rules;
    this.#main = Array.from({ length: events }, (_, i) => i + 1);
    this.#poison = new Set(this.#main.filter((seq) => poison[seq - 1]));
  }

  /** Delivers an event; `isAcked` is false if the consumer dies after its transaction. */
  async deliver(at: number, isAcked: boolean): Promise<void> {
    const seq = this.#main[at % this.#main.length];
    if (seq === undefined) return;
    if ((await this.#handle(seq)) && isAcked) this.#main = this.#main.filter((each) => each !== seq);
  }

  async #handle(seq: number): Promise<boolean> {
    if (!this.#poison.has(seq) && this.gate.advance(seq)) {
      this.effects.push(seq);
      return true;
    }
    // A poisonous event that passes is rolled back, and becomes a dead letter.
    const passes = this.gate.lastSeq === seq - 1 && this.gate.parkedUntil < seq;
    const verdict = passes ? "blocked" : await this.#rules.judge(seq, this.gate);
    if (verdict === "done") return true;
    if (verdict !== "blocked" || !this.#rules.park(seq, this.gate)) return false;
    this.letters.push({ seq, deaths: 1 });
    return true;
  }

  /** Delivers events in one batch; `isAcked` is false if the consumer dies after its transaction. */
  async deliverTogether(at: number, isAcked: boolean): Promise<void> {
    const from = at % Math.max(1, this.#main.length);
    const batch = this.#main.slice(from, from + 3);
    const follows = (seq: number, i: number) => i === 0 || seq === (batch[i - 1] as number) + 1;
    const gap = batch.findIndex((seq, i) => !follows(seq, i));
    const run = gap === -1 ? batch : batch.slice(0, gap);
    const [first, last] = [run[0], run.at(-1)];
    if (first === undefined || last === undefined) return;
    const isWhole = !run.some((seq) => this.#poison.has(seq)) && this.gate.advanceRun(first, last);
    if (isWhole) this.effects.push(...run);
    const done = isWhole ? [...run] : [];
    for (const seq of batch.slice(done.length)) if (await this.#handle(seq)) done.push(seq);
    if (isAcked) this.#main = this.#main.filter((seq) => !done.includes(seq));
  }

  /** Delivers a replayed letter. */
  replayed(at: number, isAcked: boolean): void {
    const replay = this.#replays[at % this.#replays.length];
    if (replay && this.#handleReplay(replay) && isAcked)
      this.#replays = this.#replays.filter((each) => each !== replay);
  }

  #handleReplay({ seq, deaths, action }: Replay): boolean {
    const id = `${seq}:${deaths}`;
    if (this.#settled.has(id)) return true;
    if (action === "retry" && this.#poison.has(seq)) {
      if (this.gate.lastSeq < seq - 1) return false;
      this.letters.push({ seq, deaths: deaths + 1 });
    } else {
      if (!this.gate.advanceReplayed(seq)) return false;
      if (action === "retry") this.effects.push(seq);
      else this.discarded.add(seq);
    }
    this.#settled.add(id);
    return true;
  }

  /** An operator replays a letter; `isRemoved` is false if that ends before the letter is removed. */
  order(at: number, action: Replay["action"], isRemoved: boolean): void {
    const letter = this.letters[at % this.letters.length];
    if (!letter) return;
    this.#replays.push({ ...letter, action });
    if (isRemoved) this.letters = this.letters.filter((each) => each !== letter);
  }

  mend(): void {
    this.#poison.clear();
  }

  /** True if each event between the cursor and the end of what is parked has a letter, here or on its way. */
  isParkedWhole(): boolean {
    const known = new Set([...this.letters, ...this.#replays].map(({ seq }) => seq));
    for (let seq = this.gate.lastSeq + 1; seq <= this.gate.parkedUntil; seq++)
      if (!known.has(seq)) return false;
    return true;
  }

  /** Lets all go well until nothing is left to do; false if something stays for ever. */
  async settle(events: number): Promise<boolean> {
    this.mend();
    for (let turn = 0; turn < 3 * events + 3; turn++) {
      for (let n = this.#main.length; n > 0; n--) await this.deliver(n - 1, true);
      this.letters.sort((a, b) => a.seq - b.seq);
      while (this.letters.length > 0) this.order(0, "retry", true);
      for (let n = this.#replays.length; n > 0; n--) this.replayed(n - 1, true);
    }
    return this.#main.length + this.#replays.length + this.letters.length === 0;
  }
}

const histories: fc.Arbitrary<History> = fc.record({
  events: fc.integer({ min: 1, max: 6 }),
  poison: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  choices: fc.array(fc.nat(0xffff), { maxLength: 40 }),
});

/** Plays a history, and tells what is wrong with it; undefined if nothing is. */
async function play(history: History, rules: Rules): Promise<string | undefined> {
  const world = new World(history, rules);
  for (const choice of history.choices) {
    const [at, dies] = [choice >> 4, (choice & 8) === 8];
    const step = choice & 7;
    if (step < 3) await world.deliver(at, !dies);
    else if (step === 3) await world.deliverTogether(at, !dies);
    else if (step < 6) world.replayed(at, !dies);
    else if (step === 6) world.order(at, at % 3 === 0 ? "skip" : "retry", !dies);
    else if (at % 4 === 0) world.mend();
    if (!world.isParkedWhole()) return "an event is taken for a dead letter that is none";
  }
  if (!(await world.settle(history.events))) return "stuck";
  const { effects, discarded } = world;
  if (effects.some((seq, i) => i > 0 && seq <= (effects[i - 1] as number))) return `not in order: ${effects}`;
  const all = [...effects, ...discarded].sort((a, b) => a - b);
  return all.length === history.events && all.every((seq, i) => seq === i + 1)
    ? undefined
    : `not each once: ${all}`;
}

const RUNS = 30_000;

test("after any history of a key each event had its effect once and in order, or was discarded", async () => {
  const property = fc.asyncProperty(histories, async (history) => {
    expect(await play(history, ours)).toBeUndefined();
  });
  await fc.assert(property, { numRuns: RUNS });
});

test("the same histories find the fault of parking whatever comes while a key is parked", async () => {
  const property = fc.asyncProperty(
    histories,
    async (history) => (await play(history, shortcut)) === undefined,
  );
  const { failed, counterexample } = await fc.check(property, { numRuns: RUNS });
  expect(failed).toBe(true);
  const [history] = counterexample ?? [];
  if (!history) throw new Error("there is no counterexample");
  expect(await play(history, ours)).toBeUndefined();
});

test("the gate in memory takes the same steps as the one in the database", async () => {
  const { sql } = await meshDatabase();
  const chances = random(11);
  for (let n = 0; n < 12; n++) {
    const gate = new Gate();
    const key = `key-${n}`;
    for (let step = 0; step < 25; step++) {
      const seq = Math.max(1, Math.max(gate.lastSeq, gate.parkedUntil) - 2 + chances.below(5));
      const place: Place = { consumer: "test__moves", stream: "EVT_TEST", key, seq };
      const isNew = (await cursorOf(sql, place)) === undefined;
      const steps: [() => boolean, (tx: Tx) => Promise<boolean>][] = [
        [() => gate.advance(seq), (tx) => advance(tx, place)],
      ];
      const run = { key, first: seq, last: seq + chances.below(3) };
      steps.push([
        () => gate.advanceRun(run.first, run.last),
        async (tx) => (await advanceRuns(tx, place, [run])).has(key),
      ]);
      // Of a key without a row the database takes for granted that the event before is gone, or the key forgotten.
      if (!isNew || seq === 1) steps.push([() => gate.park(seq), (tx) => park(tx, place, newId())]);
      if (!isNew) {
        const replayed = (tx: Tx) => advanceReplayed(tx, place, { isPastLost: false });
        steps.push([() => gate.advanceReplayed(seq), replayed]);
      }
      const [inMemory, inDatabase] = chances.pick(steps);
      expect([n, step, seq, await transaction(sql, inDatabase)]).toEqual([n, step, seq, inMemory()]);
      const row = await cursorOf(sql, place);
      expect([row?.lastSeq ?? 0, row?.parkedUntil ?? 0]).toEqual([gate.lastSeq, gate.parkedUntil]);
    }
  }
});
