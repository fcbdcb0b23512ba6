import { expect, test } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";
import { HeaderTemplate } from "./header-template.ts";

const FIELDS: readonly HeaderField[] = [
  { name: ":method", value: "POST" },
  { name: ":path", value: "/shop.order.v1.OrderService/PlaceOrder" },
  { name: "te", value: "trailers" },
  { name: "authorization", value: "secret" },
];

/** Blocks of one connection, and what its peer makes of them. */
function connection() {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const template = new HeaderTemplate(encoder, FIELDS);
  const out = Buffer.alloc(500);
  const arrived = (end: number) => decoder.decode(out, 5, end).map(({ name, value }) => ({ name, value }));
  return {
    encoder,
    template,
    out,
    /** The template's block as octets, after the peer has read it. */
    send() {
      const end = template.encode(out, 5);
      expect(arrived(end)).toEqual(FIELDS);
      expect(end - 5).toBeLessThanOrEqual(template.bound());
      return out.toString("hex", 5, end);
    },
    sendOther(name: string, value: string) {
      const field = { name, value, indexing: "index" } as const;
      expect(arrived(encoder.encode([field], out, 5))).toEqual([{ name, value }]);
    },
  };
}

const INDEXED = "83bfbe1f0806736563726574";

test("the first block inserts what is worth it, and each after it is the same octets", () => {
  const { template, send } = connection();
  expect(send()).toMatch(/^8344.*1f0806736563726574$/);
  for (let call = 0; call < 3; call++) expect(send()).toBe(INDEXED);
  expect(template.bound()).toBe(new HpackEncoder().bound(FIELDS));
});

test("what it writes is what the encoder would write", () => {
  const { encoder, out, send } = connection();
  for (let call = 0; call < 3; call++) send();
  const end = encoder.encode(FIELDS, out, 0);
  expect(out.toString("hex", 0, end)).toBe(INDEXED);
});

test("entries that others insert move its own, which it follows", () => {
  const { send, sendOther } = connection();
  send();
  send();
  sendOther("x-tenant", "a");
  expect(send()).toBe("83c0bf1f0806736563726574");
  expect(send()).toBe("83c0bf1f0806736563726574");
});

test("entries that were evicted are inserted again", () => {
  const { send, sendOther } = connection();
  send();
  send();
  for (let n = 0; n < 100; n++) sendOther("x-tenant", `tenant ${n}`);
  expect(send()).toMatch(/^8344/);
  expect(send()).toBe(INDEXED);
});

test("a size update is written once, before it, and not copied", () => {
  const { encoder, send } = connection();
  send();
  send();
  encoder.setMaxTableBytes(0);
  encoder.setMaxTableBytes(4_096);
  expect(send()).toMatch(/^203fe11f8344/);
  expect(send()).toBe(INDEXED);
  encoder.setMaxTableBytes(4_000);
  expect(send()).toBe(`3f811f${INDEXED}`);
  expect(send()).toBe(INDEXED);
  expect(send()).toBe(INDEXED);
});

test("with fields of the call behind it, it is the first part of a block", () => {
  const { encoder, template, out, send } = connection();
  send();
  send();
  const timeout = { name: "content-length", value: "20" };
  const end = encoder.encode([timeout], out, template.encode(out, 0));
  expect(out.toString("hex", 0, end)).toBe(`${INDEXED}0f0d023230`);
});

test("a buffer that is too short is refused", () => {
  const { template, send } = connection();
  send();
  send();
  expect(() => template.encode(Buffer.alloc(11), 0)).toThrow(RangeError);
  expect(send()).toBe(INDEXED);
});
