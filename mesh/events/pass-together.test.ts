import { expect, test } from "vitest";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { newId } from "../core/ids.ts";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import type { Envelope } from "./envelope.ts";
import { passTogether } from "./pass-together.ts";

const { sql } = await meshDatabase();

/** Events such as `a1`: the key and the number. */
function candidate(name: string, eventId = newId()) {
  const envelope: Partial<Envelope> = { eventId, key: name.slice(0, 1), keySeq: Number(name.slice(1)) };
  return { name, envelope: envelope as Envelope };
}

let streams = 0;
const pass = async (ordering: Ordering, ...batches: ReturnType<typeof candidate>[][]) => {
  const stream = `EVT_TEST_${++streams}`;
  const passed: string[][] = [];
  for (const batch of batches) {
    const found = await transaction(sql, (tx) =>
      passTogether(tx, "test__moves", { stream, ordering }, batch),
    );
    passed.push(found.map(({ name }) => name));
  }
  return passed;
};
const named = (...names: string[]) => names.map((name) => candidate(name));

test("STRICT: those of a key that follow one another pass, in the order in which they came among the others", async () => {
  const first = named("a1", "b1", "a2", "c2", "b3", "a3", "a3", "a5");
  // b3 came before b2, and c2 before c1: they are tried again, by themselves.
  expect(await pass(Ordering.STRICT, first, named("b2", "b3", "c1", "a2", "a4"))).toEqual([
    ["a1", "b1", "a2", "a3"],
    ["b2", "b3", "c1"],
  ]);
});

test("LATEST: those of a key that are newer than all before them pass", async () => {
  const first = named("a1", "a4", "a2", "b9", "a7");
  expect(await pass(Ordering.LATEST, first, named("a5", "a8", "b11", "b10"))).toEqual([
    ["a1", "a4", "b9", "a7"],
    ["b11"],
  ]);
});

test("NONE: each passes once, whatever its key", async () => {
  const [one, two, three] = [candidate("a2"), candidate("a1"), candidate("a3")];
  expect(await pass(Ordering.NONE, [one, two, { ...one, name: "copy" }], [two, three])).toEqual([
    ["a2", "a1"],
    ["a3"],
  ]);
});
