import fc from "fast-check";
import { expect, test } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";

const name = fc.oneof(
  fc.constantFrom("authorization", "grpc-timeout", ":status", ":path", "content-type", "date", "te"),
  fc.constantFrom("x-a", "x-b", "x-c", "x-d", "x-e"),
  fc.string({ minLength: 1, maxLength: 20, unit: "binary-ascii" }),
);
const value = fc.oneof(
  fc.constantFrom("", "200", "/", "application/grpc", "1", "2", "3", "v".repeat(300), "w".repeat(900)),
  fc.string({ maxLength: 150, unit: "binary-ascii" }),
);
const indexing = fc.option(fc.constantFrom("index", "literal", "never" as const), {
  nil: undefined,
  freq: 2,
});
const field = fc
  .record({ name, value, indexing })
  .map(({ name, value, indexing }): HeaderField => ({ name, value, ...(indexing && { indexing }) }));
const step = fc.oneof(
  { weight: 5, arbitrary: fc.array(field, { maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 33, 200, 1_000, 4_096, 10_000) },
);

test("whatever is sent arrives, within its bound, and both tables are the same after each block", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder({ maxTableBytes: 10_000, maxListBytes: 1_000_000 });
      for (const each of steps) {
        if (typeof each === "number") {
          encoder.setMaxTableBytes(each);
          continue;
        }
        const bytes = encoder.bound(each);
        const out = Buffer.alloc(bytes + 10);
        const end = encoder.encode(each, out, 10);
        expect(end).toBeLessThanOrEqual(bytes + 10);
        const got = decoder.decode(out, 10, end);
        expect(got.map(({ name, value }) => ({ name, value }))).toEqual(
          each.map(({ name, value }) => ({ name, value })),
        );
        const marked = each.map((field) => field.indexing ?? (field.name === "authorization" ? "never" : ""));
        expect(got.map(({ indexing }) => indexing === "never")).toEqual(
          marked.map((each) => each === "never"),
        );
        const [ours, theirs] = [encoder.table(), decoder.table()];
        const plain = ({ name, value }: HeaderField) => ({ name, value });
        expect(theirs.fields.map(plain)).toEqual(ours.fields.map(plain));
        expect(theirs.bytes).toBe(ours.bytes);
      }
    }),
    { numRuns: 300 },
  );
});
