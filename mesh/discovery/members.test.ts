import { expect, test } from "vitest";
import { MAX_MEMBERS, Members } from "./members.ts";
import { addressOf } from "./target.ts";

const at = (host: string) => ({ host, port: 1 });

/** Members that say something at the given times (ms), looked at every second. */
function tellOf(says: Readonly<Record<string, readonly number[]>>, untilMs: number) {
  const members = new Members();
  const expired: Record<string, number> = {};
  let revision = 0;
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 100) {
    for (const [host, times] of Object.entries(says))
      if (times.includes(nowMs)) members.heard(host, ++revision, at(host), nowMs);
    if (nowMs % 1_000 === 0) for (const { host } of members.expire(nowMs)) expired[host] = nowMs;
  }
  return { expired, present: members.endpoints().map(({ host }) => host) };
}

/** Every 2 s from the phase to the end. */
const beats = (phaseMs: number, endMs: number) =>
  Array.from({ length: Math.floor((endMs - phaseMs) / 2_000) + 1 }, (_, n) => phaseMs + n * 2_000);

test("an instance expires when it was silent for 6 s and others were not", () => {
  const { expired, present } = tellOf({ a: beats(500, 4_500), b: beats(0, 20_000) }, 20_000);
  expect(expired).toEqual({ a: 11_000 });
  expect(present).toEqual(["b"]);
});

test("several may expire while one lives", () => {
  const says = { a: beats(0, 4_000), b: beats(900, 2_900), c: beats(1_700, 30_000) };
  expect(tellOf(says, 30_000)).toEqual({ expired: { a: 10_000, b: 9_000 }, present: ["c"] });
});

test("when all fall silent at once, whatever their phases, nobody expires", () => {
  const says = { a: beats(0, 10_000), b: beats(900, 10_900), c: beats(1_900, 11_900) };
  expect(tellOf(says, 600_000)).toEqual({ expired: {}, present: ["a", "b", "c"] });
});

test("when one after the other falls silent, the last one stays", () => {
  const says = { a: beats(0, 4_000), b: beats(0, 20_000), c: beats(0, 40_000) };
  const { expired, present } = tellOf(says, 600_000);
  expect(Object.keys(expired)).toEqual(["a", "b"]);
  expect(present).toEqual(["c"]);
});

test("two heartbeats may go missing", () => {
  const { expired } = tellOf({ a: [0, 5_900, 11_800], b: beats(0, 12_000) }, 12_000);
  expect(expired).toEqual({});
});

test("who comes back is there again, who is only repeated is not", () => {
  const members = new Members();
  members.heard("a", 1, at("a"), 0);
  members.heard("b", 2, at("b"), 6_000);
  expect(members.expire(6_000)).toEqual([at("a")]);
  expect(members.heard("a", 1, at("a"), 6_000)).toBe("known");
  expect(members.endpoints()).toEqual([at("b")]);
  expect(members.heard("a", 3, at("a"), 6_000)).toBe("new");
  expect(members.endpoints()).toEqual([at("a"), at("b")]);
});

test("a repeated revision is no sign of life, a lower one is", () => {
  const members = new Members();
  members.heard("a", 7, at("a"), 0);
  members.heard("b", 8, at("b"), 0);
  members.heard("a", 7, at("a"), 5_000);
  expect(members.heard("b", 1, at("b"), 5_000)).toBe("known");
  expect(members.expire(6_000)).toEqual([at("a")]);
});

test("an instance that moves is new", () => {
  const members = new Members();
  expect(members.heard("a", 1, at("a"), 0)).toBe("new");
  expect(members.heard("a", 2, at("elsewhere"), 0)).toBe("new");
  expect(members.endpoints()).toEqual([at("elsewhere")]);
});

test("taking one's leave counts at once, for the last one too", () => {
  const members = new Members();
  members.heard("a", 1, at("a"), 0);
  members.left("a");
  members.left("b");
  expect(members.endpoints()).toEqual([]);
  expect(members.areAllSilent(60_000)).toBe(false);
});

test("a period of grace begins anew for all, but brings nobody back", () => {
  const members = new Members();
  members.heard("dead", 1, at("dead"), 0);
  members.heard("a", 2, at("a"), 5_000);
  members.heard("b", 3, at("b"), 6_000);
  members.expire(6_000);
  members.renew(10_000);
  members.heard("b", 4, at("b"), 15_000);
  expect(members.expire(15_999)).toEqual([]);
  expect(members.expire(16_000)).toEqual([at("a")]);
  expect(members.endpoints()).toEqual([at("b")]);
});

test("all are silent when nobody was heard for 6 s", () => {
  const members = new Members();
  expect(members.areAllSilent(60_000)).toBe(false);
  members.heard("a", 1, at("a"), 0);
  members.heard("b", 2, at("b"), 1_000);
  expect(members.areAllSilent(6_999)).toBe(false);
  expect(members.areAllSilent(7_000)).toBe(true);
});

test("there is room for 1,000; the expired make room", () => {
  const members = new Members();
  for (let n = 0; n < MAX_MEMBERS; n++) members.heard(`${n}`, n, at(`h${n}`), n === 0 ? 0 : 6_000);
  expect(members.heard("more", 5_000, at("more"), 6_000)).toBe("refused");
  expect(members.heard("1", 5_001, at("h1"), 6_000)).toBe("known");
  members.expire(6_000);
  expect(members.heard("more", 5_000, at("more"), 6_000)).toBe("new");
  expect(members.heard("yet another", 5_002, at("another"), 6_000)).toBe("refused");
  expect(members.endpoints()).toHaveLength(MAX_MEMBERS);
  expect(members.endpoints().map(addressOf)).not.toContain("h0:1");
});
