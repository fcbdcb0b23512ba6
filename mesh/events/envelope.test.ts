import { headers as natsHeaders } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { OrderConfirmedSchema, OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { random } from "../testing/random.ts";
import { dataSchema, decodeHeader, encodeHeader, readEnvelope, UndecodableError } from "./envelope.ts";

const PRINTABLE = /^[\x21-\x7e]*$/;

test("a header's value is what CloudEvents says: space, quote, percent and all but printable ASCII escaped", () => {
  const pairs: [string, string][] = [
    ["plain-text_1.2~:/?#[]@!$&'()*+,;=", "plain-text_1.2~:/?#[]@!$&'()*+,;="],
    ["a b", "a%20b"],
    ['say "hi"', "say%20%22hi%22"],
    ["100%", "100%25"],
    ["two\r\nlines\t", "two%0D%0Alines%09"],
    ["Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"],
    ["\u007f", "%7F"],
    ["", ""],
  ];
  for (const [value, header] of pairs) {
    expect(encodeHeader(value)).toBe(header);
    expect(decodeHeader(header)).toBe(value);
  }
});

test("any text comes back as it was", () => {
  const chances = random(7);
  for (let i = 0; i < 500; i++) {
    const text = Array.from({ length: chances.below(40) }, () =>
      String.fromCodePoint(
        chances.pick([chances.below(0x80), chances.below(0x800), 0x1f300 + chances.below(0x300)]),
      ),
    ).join("");
    const header = encodeHeader(text);
    expect(header).toMatch(PRINTABLE);
    expect(decodeHeader(header)).toBe(text);
  }
});

test("half a character becomes the mark of one, so that a header is always UTF-8", () => {
  expect(decodeHeader(encodeHeader("a\ud800b"))).toBe("a\ufffdb");
});

test("a value that is not percent-encoded UTF-8 is undecodable", () => {
  for (const header of ["%", "%zz", "%E2%82", "%FF"])
    expect(() => decodeHeader(header)).toThrow(UndecodableError);
});

const complete = {
  "ce-id": "0198f4a2-7c1e-7d3a-b0aa-1f6d5f1f2b7c",
  "ce-type": "shop.order.v1.OrderPlaced",
  "ce-partitionkey": "k%C3%A9y%201",
  "ce-keyseq": "7",
  "ce-prevseq": "31",
  "ce-time": "2026-01-01T12:00:00.000Z",
  "ce-correlationid": "request%201",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

function withHeaders(change: Readonly<Record<string, string | undefined>> = {}) {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries({ ...complete, ...change })) {
    if (value !== undefined) headers.set(name, value);
  }
  return headers;
}

test("an envelope is read from its headers", () => {
  expect(readEnvelope(withHeaders())).toEqual({
    eventId: complete["ce-id"],
    type: complete["ce-type"],
    key: "kéy 1",
    keySeq: 7,
    prevSeq: 31,
    time: complete["ce-time"],
    expiryTime: undefined,
    correlationId: "request 1",
    traceparent: complete.traceparent,
  });
  expect(readEnvelope(withHeaders({ "ce-prevseq": "0" })).prevSeq).toBe(0);
  const expiryTime = "2026-01-01T12:00:00.000Z";
  expect(readEnvelope(withHeaders({ "ce-expirytime": expiryTime })).expiryTime).toBe(expiryTime);
  expect(readEnvelope(withHeaders({ "ce-prevseq": "pruned" })).prevSeq).toBe("pruned");
  expect(readEnvelope(withHeaders({ traceparent: undefined })).traceparent).toBeUndefined();
});

const REQUIRED = Object.keys(complete).filter((name) => name !== "traceparent");
test.each(REQUIRED)("a message without %s is undecodable, and the error names the header", (name) => {
  for (const value of [undefined, ""]) {
    expect(() => readEnvelope(withHeaders({ [name]: value }))).toThrow(
      new UndecodableError(`the header ${name} is missing`),
    );
  }
});

const wrong: [string, string, string][] = [
  ["ce-id", "17", "no UUID"],
  ["ce-keyseq", "-1", "no number"],
  ["ce-keyseq", "1.5", "no number"],
  ["ce-keyseq", "0", "no number"],
  ["ce-keyseq", "2147483648", "no number"],
  ["ce-prevseq", "many", "no number"],
  ["ce-expirytime", "soon", "no time"],
  ["ce-prevseq", "99999999999999999999", "no number"],
];
test.each(wrong)("a message whose %s is %s is undecodable", (name, value, problem) => {
  expect(() => readEnvelope(withHeaders({ [name]: value }))).toThrow(
    new UndecodableError(`the header ${name} is ${problem}`),
  );
});

test("LATEST needs to know no event before; NONE needs no key either", () => {
  const unnumbered = withHeaders({ "ce-prevseq": undefined });
  expect(readEnvelope(unnumbered, Ordering.LATEST)).toMatchObject({ keySeq: 7, prevSeq: "pruned" });
  expect(() => readEnvelope(withHeaders({ "ce-keyseq": undefined }), Ordering.LATEST)).toThrow("ce-keyseq");
  const unkeyed = { "ce-partitionkey": undefined, "ce-keyseq": undefined, "ce-prevseq": undefined };
  expect(readEnvelope(withHeaders(unkeyed), Ordering.NONE)).toMatchObject({ key: "", keySeq: 0 });
  expect(readEnvelope(withHeaders(), Ordering.NONE)).toMatchObject({ key: "kéy 1", keySeq: 7, prevSeq: 31 });
  expect(() => readEnvelope(withHeaders({ "ce-keyseq": "x" }), Ordering.NONE)).toThrow("no number");
});

test("a message without any headers is undecodable", () => {
  expect(() => readEnvelope(undefined)).toThrow(UndecodableError);
});

test("the data schema names the type and the version of its definition", () => {
  expect(dataSchema(OrderPlacedSchema)).toMatch(/^proto:\/\/shop\.order\.v1\.OrderPlaced#[0-9a-f]{12}$/);
  expect(dataSchema(OrderPlacedSchema)).toBe(dataSchema(OrderPlacedSchema));
  expect(dataSchema(OrderConfirmedSchema)).not.toBe(dataSchema(OrderPlacedSchema));
});
