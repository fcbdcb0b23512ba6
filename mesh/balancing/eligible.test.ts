import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eligible, type Standing } from "./eligible.ts";

const WELL: Standing = { isServing: true, isOpen: false, wasTried: false, hasRefused: false };
const OPEN = { ...WELL, isOpen: true };
const SILENT = { ...WELL, isServing: false };
const REFUSED = { ...WELL, isOpen: true, hasRefused: true };
const TRIED = { ...WELL, wasTried: true };

/** Which of these endpoints may take a call, by their numbers. */
function among(...standings: Standing[]) {
  const { endpoints, isPanic } = eligible([...standings.keys()], (each) => standings[each] ?? WELL);
  return { endpoints, isPanic };
}

describe("a call goes", () => {
  test("anywhere, if all is well", () => {
    expect(among(WELL, WELL, WELL)).toEqual({ endpoints: [0, 1, 2], isPanic: false });
  });

  test("nowhere, if nobody is there", () => {
    expect(among()).toEqual({ endpoints: [], isPanic: false });
  });

  test("past who is open, does not serve, or was asked before", () => {
    expect(among(OPEN, SILENT, TRIED, WELL).endpoints).toEqual([3]);
  });

  test("back to where it was rather than to who does not serve", () => {
    expect(among(TRIED, SILENT).endpoints).toEqual([0]);
  });

  test("to who does not serve rather than to who is open", () => {
    expect(among(SILENT, OPEN)).toEqual({ endpoints: [0], isPanic: false });
  });

  test("to who does not serve and was asked before, if the others are open", () => {
    expect(among({ ...SILENT, wasTried: true }, OPEN).endpoints).toEqual([0]);
  });

  test("to all who do not serve if nobody does: they may only be unable to say so", () => {
    expect(among(SILENT, SILENT).endpoints).toEqual([0, 1]);
  });

  test("past where it was among who does not serve, too", () => {
    expect(among(SILENT, { ...SILENT, wasTried: true }).endpoints).toEqual([0]);
  });
});

describe("panic: breakers are not looked at", () => {
  test.each<[string, Standing[], boolean]>([
    ["one endpoint", [OPEN], false],
    ["both of two", [OPEN, OPEN], false],
    ["one of three", [OPEN, WELL, WELL], false],
    ["two of three", [OPEN, OPEN, WELL], true],
    ["all of three", [OPEN, OPEN, OPEN], true],
    ["half of four", [OPEN, OPEN, WELL, WELL], false],
    ["three of four", [OPEN, OPEN, OPEN, WELL], true],
    ["five of ten", [...Array(5).fill(OPEN), ...Array(5).fill(WELL)], false],
    ["six of ten", [...Array(6).fill(OPEN), ...Array(4).fill(WELL)], true],
  ])("when the breakers of %s are open (L8)", (_, standings, isPanic) => {
    const all = [...standings.keys()];
    const well = all.filter((each) => !standings[each]?.isOpen);
    expect(among(...standings)).toEqual({ endpoints: isPanic ? all : well, isPanic });
  });

  test("but never to who has just refused, who counts as open", () => {
    expect(among(REFUSED, OPEN, OPEN)).toEqual({ endpoints: [1, 2], isPanic: true });
    expect(among(REFUSED, REFUSED, REFUSED)).toEqual({ endpoints: [], isPanic: true });
    expect(among({ ...REFUSED, isOpen: false }, WELL)).toEqual({ endpoints: [1], isPanic: false });
  });

  test("but at who serves and was not asked before, still", () => {
    expect(among(OPEN, { ...OPEN, wasTried: true }, { ...OPEN, isServing: false })).toEqual({
      endpoints: [0],
      isPanic: true,
    });
  });
});

test("the choice is as good as there is, complete, in order, and never open but in a panic", () => {
  const standing = fc.record({
    isServing: fc.boolean(),
    isOpen: fc.boolean(),
    wasTried: fc.boolean(),
    hasRefused: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(standing, { maxLength: 12 }), (standings) => {
      const { endpoints, isPanic } = among(...standings);
      const open = standings.filter(({ isOpen, hasRefused }) => isOpen || hasRefused).length;
      expect(isPanic).toBe(standings.length >= 3 && open > standings.length / 2);

      // What is wrong with each, the worst first.
      const faults = ({ isOpen, isServing, wasTried, hasRefused }: Standing) =>
        [hasRefused || (isOpen && !isPanic), !isServing, wasTried].map(Number).join("");
      const least = standings.map(faults).toSorted()[0] ?? "1";
      const best = [...standings.keys()].filter((each) => faults(standings[each] ?? WELL) === least);
      expect(endpoints).toEqual(least.startsWith("1") ? [] : best);
    }),
    { numRuns: 1_000 },
  );
});
