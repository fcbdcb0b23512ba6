import { expect, test } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";

const octets = (hex: string) => Buffer.from(hex.replace(/\s/g, ""), "hex");
const fields = (...lines: string[]): HeaderField[] =>
  lines.map((line) => {
    const at = line.indexOf(": ");
    return { name: line.slice(0, at), value: line.slice(at + 2) };
  });

/** Blocks of one connection: the octets, the list, and the table after it. */
type Examples = readonly [hex: string, list: HeaderField[], table: HeaderField[], bytes: number][];

const REQUESTS = {
  lists: [
    fields(":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"),
    fields(
      ":method: GET",
      ":scheme: http",
      ":path: /",
      ":authority: www.example.com",
      "cache-control: no-cache",
    ),
    fields(
      ":method: GET",
      ":scheme: https",
      ":path: /index.html",
      ":authority: www.example.com",
      "custom-key: custom-value",
    ),
  ],
  tables: [
    fields(":authority: www.example.com"),
    fields("cache-control: no-cache", ":authority: www.example.com"),
    fields("custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"),
  ],
  bytes: [57, 110, 164],
  plain: [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
  ],
  huffman: [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  ],
};

const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const [DATE, LATER] = ["date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT"];
const [PRIVATE, LOCATION] = ["cache-control: private", "location: https://www.example.com"];

const RESPONSES = {
  lists: [
    fields(":status: 302", PRIVATE, DATE, LOCATION),
    fields(":status: 307", PRIVATE, DATE, LOCATION),
    fields(":status: 200", PRIVATE, LATER, LOCATION, "content-encoding: gzip", COOKIE),
  ],
  tables: [
    fields(LOCATION, DATE, PRIVATE, ":status: 302"),
    fields(":status: 307", LOCATION, DATE, PRIVATE),
    fields(COOKIE, "content-encoding: gzip", LATER),
  ],
  bytes: [222, 222, 215],
  plain: [
    `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
     3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    "4803 3330 37c1 c0bf",
    `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
     7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
     6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
  ],
  huffman: [
    `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
     1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
    "4883 640e ffc1 c0bf",
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
     e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
  ],
};

function examples(of: typeof REQUESTS, coding: "plain" | "huffman"): Examples {
  return of[coding].map((hex, n) => [hex, of.lists[n] ?? [], of.tables[n] ?? [], of.bytes[n] ?? 0]);
}

test.each([
  ["C.3", examples(REQUESTS, "plain"), ""],
  ["C.4", examples(REQUESTS, "huffman"), ""],
  // A size update to 256 bytes, which the examples leave out.
  ["C.5", examples(RESPONSES, "plain"), "3fe101"],
  ["C.6", examples(RESPONSES, "huffman"), "3fe101"],
])("the examples of RFC 7541, section %s, are decoded", (_, blocks, first) => {
  const decoder = new HpackDecoder({ maxTableBytes: 256 });
  expect(decoder.decode(octets(first), 0, first.length / 2)).toEqual([]);
  for (const [hex, list, table, bytes] of blocks) {
    const block = octets(hex);
    expect(decoder.decode(block, 0, block.length)).toEqual(list);
    expect(decoder.table()).toEqual({ fields: table, bytes });
  }
});

test("the examples of RFC 7541, section C.3, are encoded", () => {
  const encoder = new HpackEncoder();
  const out = Buffer.alloc(200);
  for (const [hex, list, table, bytes] of examples(REQUESTS, "plain")) {
    const end = encoder.encode(list, out, 0);
    expect(out.toString("hex", 0, end)).toBe(octets(hex).toString("hex"));
    expect(encoder.table()).toEqual({ fields: table, bytes });
  }
});

test.each<[string, string, HeaderField]>([
  [
    "C.2.1",
    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    { name: "custom-key", value: "custom-header" },
  ],
  [
    "C.2.2",
    "040c 2f73 616d 706c 652f 7061 7468",
    { name: ":path", value: "/sample/path", indexing: "literal" },
  ],
  [
    "C.2.3",
    "1008 7061 7373 776f 7264 0673 6563 7265 74",
    { name: "password", value: "secret", indexing: "never" },
  ],
  ["C.2.4", "82", { name: ":method", value: "GET" }],
])("the example of RFC 7541, section %s, is encoded and decoded", (section, hex, field) => {
  const encoder = new HpackEncoder();
  const out = Buffer.alloc(50);
  const end = encoder.encode([field], out, 0);
  expect(out.toString("hex", 0, end)).toBe(octets(hex).toString("hex"));

  const decoder = new HpackDecoder();
  const { name, value, indexing } = field;
  const decoded = indexing === "never" ? field : { name, value };
  expect(decoder.decode(out, 0, end)).toEqual([decoded]);
  expect(decoder.table()).toEqual(
    section === "C.2.1" ? { fields: [decoded], bytes: 55 } : { fields: [], bytes: 0 },
  );
  expect(encoder.table()).toEqual(decoder.table());
});
