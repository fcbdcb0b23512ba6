import { expect, test } from "vitest";
import { codec, ITEMS } from "./contract.ts";

test.each([
  ["20 B", 20],
  ["1 KiB", 1_024],
  ["1 MiB", 1_048_576],
] as const)("the item of %s has that size on the wire, and comes back as it was", (size, bytes) => {
  const written = codec.write(ITEMS[size]);
  expect(written.byteLength).toBe(bytes);
  expect(codec.read(written)).toMatchObject(ITEMS[size]);
});
