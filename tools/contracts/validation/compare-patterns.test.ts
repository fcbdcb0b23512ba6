import fc from "fast-check";
import { expect, test } from "vitest";
import { comparePatterns } from "./compare-patterns.ts";

const directions = (was: string, is: string) => [...comparePatterns(was, is)].map((change) => change.is);

test.each([
  ["^[a-z]{1,64}$", "^[a-z]{1,64}$", []],
  ["^[a-z]{1,64}$", "^[a-z]{1,128}$", ["looser"]],
  ["^[a-z]{1,64}$", "^[a-z]{0,64}$", ["looser"]],
  ["^[a-z]{1,64}$", "^[a-z]{1,32}$", ["tighter"]],
  ["^[a-z]{1,64}$", "^[a-z0-9]{1,64}$", ["looser"]],
  ["^[a-z]{1,64}$", "^[a-y]{1,64}$", ["tighter"]],
  ["^[a-z]{1,64}$", "^[a-y]{1,128}$", ["tighter", "looser"]],
  ["^[A-Za-z0-9_.:-]{0,64}$", "^[-:._A-Za-z0-9]{0,64}$", []],
  ["^[a-z]+$", "^[a-z]*$", ["looser"]],
  ["^[a-z]{3}$", "^[a-z]{1,}$", ["looser"]],
  ["^[a\\]b]$", "^[a]?$", ["tighter", "looser"]],
  ["^(a|b)$", "^[ab]$", ["tighter", "looser"]],
  ["[a-z]", "^[a-z]{1,64}$", ["tighter", "looser"]],
  ["^[^a]{1,2}$", "^[^b]{1,2}$", ["tighter", "looser"]],
  ["^[\\w]{1,2}$", "^[a-z]{1,2}$", ["tighter", "looser"]],
])("%s -> %s is %j", (was, is, changes) => {
  expect(directions(was, is)).toEqual(changes);
});

test("what is said of two patterns holds for every text", () => {
  const set = fc.constantFrom("a", "b", "a-c", "b-d", "a-bd", "c_-");
  const count = fc.constantFrom("", "?", "*", "+", "{2}", "{1,}", "{0,2}", "{1,3}");
  const pattern = fc.tuple(set, count).map(([characters, quantity]) => `^[${characters}]${quantity}$`);
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "d", "_", "-"), maxLength: 4 });
  fc.assert(
    fc.property(pattern, pattern, fc.array(text), (was, is, texts) => {
      const changes = directions(was, is);
      for (const each of texts) {
        const [before, now] = [was, is].map((one) => new RegExp(one).test(each));
        if (before && !now) expect(changes).toContain("tighter");
        if (!before && now) expect(changes).toContain("looser");
      }
    }),
  );
});
