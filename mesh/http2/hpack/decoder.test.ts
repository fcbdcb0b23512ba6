import { expect, test } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackError } from "./hpack-error.ts";
import { STATIC_FIELDS } from "./static-table.ts";

const octets = (hex: string) => Buffer.from(hex.replace(/\s/g, ""), "hex");
const decode = (decoder: HpackDecoder, hex: string) => {
  const block = octets(hex);
  return decoder.decode(block, 0, block.length);
};
const text = (value: string) => {
  expect(value.length).toBeLessThan(127);
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value, "latin1")]).toString("hex");
};
const inserted = (name: string, value: string) => `40 ${text(name)} ${text(value)}`;

test("an indexed field is the object that the table has", () => {
  const decoder = new HpackDecoder();
  const [literal] = decode(decoder, inserted("x-tenant", "a"));
  expect(decode(decoder, "82 be be")).toEqual([
    { name: ":method", value: "GET" },
    { name: "x-tenant", value: "a" },
    { name: "x-tenant", value: "a" },
  ]);
  const [method, first, second] = decode(decoder, "82 be be");
  expect(method).toBe(STATIC_FIELDS[1]);
  expect(first).toBe(literal);
  expect(second).toBe(literal);
});

test("only what lies between start and end is a block", () => {
  const decoder = new HpackDecoder();
  expect(decoder.decode(octets("ffff 8286 ffff"), 2, 4)).toEqual([
    { name: ":method", value: "GET" },
    { name: ":scheme", value: "http" },
  ]);
  expect(decoder.decode(octets("ffff"), 1, 1)).toEqual([]);
});

test("a field that its sender marked as never indexed says so, one without indexing does not", () => {
  const decoder = new HpackDecoder();
  expect(
    decode(decoder, `1f08 ${text("secret")}  0f08 ${text("plain")}  00 ${text("a")} ${text("b")}`),
  ).toEqual([
    { name: "authorization", value: "secret", indexing: "never" },
    { name: "authorization", value: "plain" },
    { name: "a", value: "b" },
  ]);
  expect(decoder.table()).toEqual({ fields: [], bytes: 0 });
});

test("a name and a value that no header has are told, and keep the tables in step", () => {
  const decoder = new HpackDecoder();
  expect(decode(decoder, "00 00 00  00 01ff 03 00e90a")).toEqual([
    { name: "", value: "", isIllegal: true },
    { name: "\xff", value: "\x00\xe9\n", isIllegal: true },
  ]);
});

test.each([
  ["the index 0", "80", "there is no field with the index 0"],
  ["an index beyond both tables", "be", "there is no field with the index 62"],
  ["a name by an index beyond both tables", `7f00 ${text("a")}`, "there is no field with the index 63"],
  ["a large index", "ff 80ffffff07", "there is no field with the index 2147483647"],
  ["an index that is too large", "ff ffffffff0f", "an integer is too large"],
  ["a length that is too large", "00 7f ffffffff0f", "an integer is too large"],
  ["three size updates", "20 20 20", "a block has more than two table size updates"],
  ["a size update after a field", "82 20", "a table size update is not at the beginning of its block"],
  ["a size update above what is allowed", "3fe21f", "a table size update is above what is allowed"],
])("%s is an error, and the end of the connection", (_, hex, message) => {
  const decoder = new HpackDecoder();
  expect(() => decode(decoder, hex)).toThrow(new HpackError(message));
  expect(() => decode(decoder, "82")).toThrow(new HpackError("a block before this one could not be decoded"));
});

test.each([
  ["an index", "ff00"],
  ["an inserted field", "4003 613d62 83 a8eb1f"],
  ["a field without indexing", `0f00 ${text("value of some length")}`],
  ["a field that is never indexed", `10 ${text("password")} ${text("secret")}`],
  ["a size update", "3fe11f"],
])("%s that is cut off anywhere is an error", (_, hex) => {
  const whole = octets(hex);
  for (let end = 1; end < whole.length; end++) {
    const decoder = new HpackDecoder();
    expect(() => decoder.decode(whole, 0, end)).toThrow(/^the block ends /);
  }
});

test("two size updates are allowed, up to what was announced, and evict (RFC 7541, section 4.2)", () => {
  const decoder = new HpackDecoder({ maxTableBytes: 5_000 });
  decode(decoder, inserted("a", "1") + inserted("b", "2"));
  expect(decode(decoder, "3f03 3fe926 be")).toEqual([{ name: "b", value: "2" }]);
  expect(decoder.table()).toEqual({ fields: [{ name: "b", value: "2" }], bytes: 34 });
  expect(() => decode(decoder, "3fea26")).toThrow(HpackError);
});

test("a peer has 4096 bytes until it has read that it gets fewer, and then must say so", () => {
  const decoder = new HpackDecoder({ maxTableBytes: 40 });
  decode(decoder, inserted("a", "1") + inserted("b", "2"));
  expect(decoder.table().fields).toHaveLength(2);
  expect(decode(decoder, "3fe11f bf")).toEqual([{ name: "a", value: "1" }]);

  decoder.settingsAcknowledged();
  expect(decode(decoder, "3f09 be")).toEqual([{ name: "b", value: "2" }]);
  expect(decoder.table()).toEqual({ fields: [{ name: "b", value: "2" }], bytes: 34 });
  expect(() => decode(decoder, "3f0a")).toThrow(
    new HpackError("a table size update is above what is allowed"),
  );
});

test("a peer that acknowledged a smaller table and keeps a larger one is refused (RFC 9113, section 4.3.1)", () => {
  const decoder = new HpackDecoder({ maxTableBytes: 4_095 });
  decoder.settingsAcknowledged();
  expect(() => decode(decoder, "82")).toThrow(new HpackError("a table size update is missing"));
});

test("a list that is too large is kept as far as it fits, and the table stays in step", () => {
  const decoder = new HpackDecoder({ maxListBytes: 100 });
  const list = decode(decoder, inserted("a", "1".repeat(60)) + inserted("b", "2") + inserted("c", ""));
  expect(list).toEqual([{ name: "a", value: "1".repeat(60) }]);
  expect(decoder.tooLarge).toBe(true);
  expect(decoder.table().fields.map(({ name }) => name)).toEqual(["c", "b", "a"]);

  expect(decode(decoder, "be bf")).toEqual([
    { name: "c", value: "" },
    { name: "b", value: "2" },
  ]);
  expect(decoder.tooLarge).toBe(false);
});

test("a list of just the allowed bytes is not too large", () => {
  const decoder = new HpackDecoder({ maxListBytes: 84 });
  // The second counts for 43 bytes, the first for 42.
  expect(decode(decoder, "82")).toHaveLength(1);
  expect(decode(decoder, "82 82")).toHaveLength(2);
  expect(decoder.tooLarge).toBe(false);
  expect(decode(decoder, "82 83")).toHaveLength(1);
  expect(decoder.tooLarge).toBe(true);
});

test("a block that repeats a large entry by the thousand makes no list of thousands", () => {
  const decoder = new HpackDecoder();
  const value = "v".repeat(4_000);
  const entry = Buffer.concat([octets("40 0161 7fa11e"), Buffer.from(value)]);
  expect(decoder.decode(entry, 0, entry.length)).toEqual([{ name: "a", value }]);

  const bomb = Buffer.alloc(60_000, 0xbe);
  expect(decoder.decode(bomb, 0, bomb.length)).toHaveLength(Math.floor(32_768 / (value.length + 33)));
  expect(decoder.tooLarge).toBe(true);
});
