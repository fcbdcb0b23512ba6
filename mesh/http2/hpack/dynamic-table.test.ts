import fc from "fast-check";
import { expect, test } from "vitest";
import { DynamicTable } from "./dynamic-table.ts";
import { fieldBytes, type HeaderField } from "./header-field.ts";

const field = (bytes: number, name = "n"): HeaderField => ({
  name,
  value: "v".repeat(bytes - 32 - name.length),
});

test("the newest is first, and an entry that was the nth is found by how many came after it", () => {
  const table = new DynamicTable(4_096);
  const fields = Array.from({ length: 5 }, (_, n) => field(40, `name-${n}`));
  for (const each of fields) table.insert(each);
  expect(table.content()).toEqual({ fields: fields.toReversed(), bytes: 200 });
  expect(table.inserted).toBe(5);
  expect(table.at(0)).toBe(fields[4]);
  expect(table.at(4)).toBe(fields[0]);
  expect(table.at(5)).toBeUndefined();
});

test.each([63, 64, 65, 127, 128, 129])("beyond the oldest of %d entries there is none", (count) => {
  const table = new DynamicTable(10_000);
  for (let n = 0; n < count; n++) table.insert(field(40, `name-${n}`));
  expect(table.at(count - 1)?.name).toBe("name-0");
  expect(table.at(count)).toBeUndefined();
  expect(table.at(count + 1)).toBeUndefined();
});

test("as many leave as make room, the oldest first (RFC 7541, section 4.4)", () => {
  const left: [string, number][] = [];
  const table = new DynamicTable(100, ({ name }, number) => left.push([name, number]));
  table.insert(field(50, "a"));
  table.insert(field(50, "b"));
  expect(left).toEqual([]);
  table.insert(field(51, "c"));
  expect(left).toEqual([
    ["a", 0],
    ["b", 1],
  ]);
  expect(table.content()).toEqual({ fields: [field(51, "c")], bytes: 51 });
});

test("an entry larger than the table empties it (RFC 7541, section 4.4)", () => {
  const table = new DynamicTable(100);
  table.insert(field(50));
  table.insert(field(101));
  expect(table.content()).toEqual({ fields: [], bytes: 0 });
  table.insert(field(100, "fits"));
  expect(table.content().bytes).toBe(100);
});

test("a smaller table evicts at once, a larger one brings nothing back (RFC 7541, section 4.3)", () => {
  const table = new DynamicTable(200);
  for (const name of ["a", "b", "c", "d"]) table.insert(field(50, name));
  table.resize(149);
  expect(table.content().fields.map(({ name }) => name)).toEqual(["d", "c"]);
  table.resize(200);
  expect(table.content().bytes).toBe(100);
  table.resize(0);
  expect(table.content()).toEqual({ fields: [], bytes: 0 });
});

test("whatever is inserted and however it is resized, it holds what a plain list would", () => {
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ insert: fc.integer({ min: 33, max: 90 }) }) },
    { weight: 1, arbitrary: fc.record({ insert: fc.integer({ min: 6_000, max: 12_000 }) }) },
    { weight: 1, arbitrary: fc.record({ resize: fc.constantFrom(0, 500, 8_192, 10_000) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
      let maxBytes = 10_000;
      let plain: HeaderField[] = [];
      const evicted: HeaderField[] = [];
      const table = new DynamicTable(maxBytes, (field, number) => {
        evicted[number] = field;
      });
      const inserted: HeaderField[] = [];
      for (const each of steps) {
        if ("insert" in each) {
          const next = field(each.insert);
          plain = [next, ...plain];
          if (fieldBytes(next) <= maxBytes) inserted.push(next);
          table.insert(next);
        } else {
          maxBytes = each.resize;
          table.resize(maxBytes);
        }
        while (plain.reduce((bytes, each) => bytes + fieldBytes(each), 0) > maxBytes) plain.pop();
      }
      const { fields, bytes } = table.content();
      expect(fields).toEqual(plain);
      expect(bytes).toBe(plain.reduce((sum, each) => sum + fieldBytes(each), 0));
      expect([...evicted, ...fields.toReversed()]).toEqual(inserted);
    }),
    { numRuns: 60 },
  );
});
