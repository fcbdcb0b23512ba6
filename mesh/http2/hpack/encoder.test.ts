import { expect, test } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";

function encode(encoder: HpackEncoder, ...fields: HeaderField[]): string {
  const out = Buffer.alloc(encoder.bound(fields));
  return out.toString("hex", 0, encoder.encode(fields, out, 0));
}

function decode(decoder: HpackDecoder, hex: string): readonly HeaderField[] {
  const block = Buffer.from(hex, "hex");
  return decoder.decode(block, 0, block.length);
}

const TENANT = { name: "x-tenant", value: "a" };

test("a field is written once, and then as its index", () => {
  const encoder = new HpackEncoder();
  expect(encode(encoder, TENANT)).toBe("4008782d74656e616e740161");
  expect(encode(encoder, TENANT)).toBe("be");
  expect(encode(encoder, { name: "x-tenant", value: "b" })).toBe("7e0162");
  expect(encode(encoder, TENANT, { name: "x-tenant", value: "b" })).toBe("bfbe");
  expect(encode(encoder, { name: ":status", value: "200" }, { name: ":status", value: "403" })).toBe(
    "884803343033",
  );
});

test("the block is written from the offset on, and nothing else is touched", () => {
  const out = Buffer.alloc(8, 0xee);
  expect(new HpackEncoder().encode([{ name: ":method", value: "POST" }], out, 3)).toBe(4);
  expect(out.toString("hex")).toBe("eeeeee83eeeeeeee");
});

test("a secret is never indexed, and never in the table, whoever may have said otherwise before", () => {
  const encoder = new HpackEncoder();
  const field = { name: "authorization", value: "s" };
  for (let call = 0; call < 2; call++) expect(encode(encoder, field)).toBe("1f080173");
  encode(encoder, { ...field, indexing: "index" });
  expect(encode(encoder, { ...field, indexing: "index" })).toBe("be");
  expect(encode(encoder, field)).toBe("1f080173");
});

test("what changes from call to call is inserted once, for its name, and then only its value is written", () => {
  const encoder = new HpackEncoder();
  expect(encode(encoder, { name: "grpc-timeout", value: "1S" })).toBe("400c677270632d74696d656f7574023153");
  expect(encode(encoder, { name: "grpc-timeout", value: "2S" })).toBe("0f2f023253");
  expect(encode(encoder, { name: "grpc-timeout", value: "3S" })).toBe("0f2f023353");
  expect(encode(encoder, { name: "content-length", value: "3" })).toBe("0f0d0133");
  expect(encoder.table().fields).toEqual([{ name: "grpc-timeout", value: "1S" }]);
});

test("a field that says how it is written is written so", () => {
  const encoder = new HpackEncoder();
  for (let call = 0; call < 2; call++) {
    expect(encode(encoder, { ...TENANT, indexing: "literal" })).toBe("0008782d74656e616e740161");
    expect(encode(encoder, { ...TENANT, indexing: "never" })).toBe("1008782d74656e616e740161");
  }
  expect(encoder.table().fields).toEqual([]);
});

test("what is larger than a quarter of the table is not inserted", () => {
  const encoder = new HpackEncoder();
  const quarter = { name: "name", value: "v".repeat(1_024 - 32 - 4) };
  const more = { name: "name", value: `${quarter.value}v` };
  encode(encoder, more);
  expect(encoder.table().bytes).toBe(0);
  encode(encoder, quarter);
  expect(encoder.table()).toEqual({ fields: [quarter], bytes: 1_024 });
});

test.each([
  ["a smaller table", [100], "3f45", 100],
  ["none", [0], "20", 0],
  ["one that shrank to nothing in between", [0, 4_096], "203fe11f", 4_096],
  ["the smallest of several in between", [300, 40, 2_000, 500], "3f093fd503", 500],
  ["a larger one than we use", [65_536], "", 4_096],
  ["the same one again", [4_096, 4_096], "", 4_096],
])("a peer that allows %s is told so once (RFC 7541, section 4.2)", (_, sizes, updates, bytes) => {
  const encoder = new HpackEncoder();
  for (const size of sizes) encoder.setMaxTableBytes(size);
  expect(encode(encoder, { name: ":method", value: "GET" })).toBe(`${updates}82`);
  expect(encode(encoder, { name: ":method", value: "GET" })).toBe("82");
  const indexing = "index";
  const fields = Array.from(
    { length: 200 },
    (_, n) => ({ name: "n", value: String(100 + n), indexing }) as const,
  );
  encode(encoder, ...fields);
  expect(encoder.table().fields).toHaveLength(Math.floor(bytes / 36) * (36 <= bytes / 4 ? 1 : 0));
});

test("a table that was told and grows again is told of with one update", () => {
  const encoder = new HpackEncoder();
  encoder.setMaxTableBytes(100);
  encode(encoder);
  encoder.setMaxTableBytes(200);
  encoder.setMaxTableBytes(300);
  expect(encode(encoder)).toBe("3f8d02");
});

test.each([
  ["in a short value", { name: "a", value: "\u0100" }],
  ["in a long value", { name: "a", value: `${"long ".repeat(10)}\u560a` }],
  ["in a name", { name: "\u560a", value: "" }],
])("a character above U+00FF %s is refused, and the block after it starts afresh", (_, field) => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  decode(decoder, encode(encoder, TENANT));
  // The peer never sees this block, with an entry before the fault.
  expect(() => encode(encoder, { name: "b", value: "2" }, field)).toThrow(
    new RangeError("a header has a character above U+00FF"),
  );
  const after = encode(encoder, { name: "b", value: "2" }, TENANT);
  expect(after.startsWith("203fe11f40")).toBe(true);
  expect(decode(decoder, after)).toEqual([{ name: "b", value: "2" }, TENANT]);
  expect(decoder.table()).toEqual(encoder.table());
});

test("a buffer that is too short is refused, and the block after it starts afresh", () => {
  const encoder = new HpackEncoder();
  expect(() => encoder.encode([TENANT], Buffer.alloc(11), 0)).toThrow(
    new RangeError("a header block of 12 bytes is longer than its buffer"),
  );
  expect(decode(new HpackDecoder(), encode(encoder, TENANT))).toEqual([TENANT]);
});

test("a character up to U+00FF is one octet, in texts of every length", () => {
  const fields = [1, 16, 17, 126, 127, 128, 300].map((length) => ({
    name: "n",
    value: "\xff\x80".repeat(length),
  }));
  const encoder = new HpackEncoder();
  expect(decode(new HpackDecoder(), encode(encoder, ...fields))).toEqual(fields);
});

test("a name whose values never come again does not drive out what does", () => {
  const encoder = new HpackEncoder();
  encode(encoder, TENANT);
  for (let n = 0; n < 1_000; n++) encode(encoder, { name: ":path", value: `/orders/${1_000 + n}` });
  expect(encode(encoder, TENANT)).toMatch(/^[89a-f].$|^ff/);
  const paths = encoder.table().fields.filter(({ name }) => name === ":path");
  expect(paths.length).toBeGreaterThan(16);
  expect(encoder.table().bytes).toBeLessThan(4_096);
});

test("a name whose values begin to come again is inserted as before", () => {
  const encoder = new HpackEncoder();
  const path = (n: number) => ({ name: ":path", value: `/${n}` });
  for (let n = 0; n < 17; n++) encode(encoder, path(n));
  const again = Array.from({ length: 17 }, () => encode(encoder, path(100)).length / 2);
  // Its text until it has been inserted, and then its index.
  expect(again).toEqual([...Array(15).fill(6), 1, 1]);
  encode(encoder, path(101));
  expect(encode(encoder, path(101))).toBe("be");
});

test("a field that asks to be inserted is, however often its name has changed", () => {
  const encoder = new HpackEncoder();
  for (let n = 0; n < 40; n++) encode(encoder, { name: ":path", value: `/${n}`, indexing: "index" });
  expect(encoder.table().fields).toHaveLength(40);
});

test("a name is inserted with each new value for as long as others of its values come again", () => {
  const encoder = new HpackEncoder();
  const path = (value: string) => ({ name: ":path", value });
  encode(encoder, path("/a"), path("/b"));
  for (let n = 0; n < 40; n++) encode(encoder, path(`/${n}`), path(n % 2 ? "/a" : "/b"));
  expect(encoder.table().fields).toHaveLength(42);
});
