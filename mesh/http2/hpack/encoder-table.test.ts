import { expect, test } from "vitest";
import { EncoderTable } from "./encoder-table.ts";

const indexOf = (table: EncoderTable, name: string, value: string) =>
  table.indexOf(table.places(name), value);
const indexOfName = (table: EncoderTable, name: string) => table.indexOfName(table.places(name));

test("what the static table has is found there", () => {
  const table = new EncoderTable(4_096);
  expect(indexOf(table, ":status", "404")).toBe(13);
  expect(indexOf(table, ":status", "418")).toBe(0);
  expect(indexOfName(table, ":status")).toBe(8);
  expect(indexOf(table, "x-a", "")).toBe(0);
  expect(indexOfName(table, "x-a")).toBe(0);
});

test("an entry is found by how many came after it, its name by the newest that has it", () => {
  const table = new EncoderTable(4_096);
  table.insert({ name: "x-a", value: "1" });
  table.insert({ name: "x-a", value: "2" });
  table.insert({ name: ":status", value: "418" });
  expect(indexOf(table, "x-a", "1")).toBe(64);
  expect(indexOf(table, "x-a", "2")).toBe(63);
  expect(indexOfName(table, "x-a")).toBe(63);
  expect(indexOf(table, ":status", "418")).toBe(62);
  expect(indexOfName(table, ":status")).toBe(8);
});

test("an entry that was evicted is not found, its name while another entry has it", () => {
  const table = new EncoderTable(72);
  table.insert({ name: "x-a", value: "1" });
  table.insert({ name: "x-a", value: "2" });
  table.insert({ name: "x-a", value: "3" });
  expect(indexOf(table, "x-a", "1")).toBe(0);
  expect(indexOf(table, "x-a", "2")).toBe(63);
  table.resize(40);
  expect(indexOf(table, "x-a", "2")).toBe(0);
  expect(indexOfName(table, "x-a")).toBe(62);
  table.resize(0);
  expect(indexOfName(table, "x-a")).toBe(0);
});

test("names that come and go, or are only asked for, leave nothing behind", () => {
  const table = new EncoderTable(4_096);
  for (let n = 0; n < 1_000; n++) {
    table.places(`x-asked-${n}`);
    table.insert({ name: `x-${n}`, value: "v" });
  }
  expect(table.nameCount).toBe(table.content().fields.length);
  expect(table.nameCount).toBeLessThan(4_096 / 32);
});
