import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { compressionNegotiate } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import {
  acceptEncoding,
  type Compression,
  chooseCompression,
  findCompression,
  gzip,
  identity,
} from "./compression.ts";

const refusal = (code: Code) => expect.objectContaining({ name: "ConnectError", code });
const other: Compression = { ...identity, name: "other" };

test.each([
  ["identity", identity],
  ["gzip", gzip],
])("%s gives back what it took", async (name, compression) => {
  expect(compression.name).toBe(name);
  for (const length of [0, 1, 100_000]) {
    const message = Buffer.alloc(length, "abc");
    const sent = await compression.compress(message);
    expect(Buffer.from(await compression.decompress(sent, length)).equals(message)).toBe(true);
  }
});

test("gzip is that of Connect, both ways", async () => {
  const message = new TextEncoder().encode("größer".repeat(100));
  expect(
    Buffer.from(
      await compressionGzip.decompress((await gzip.compress(message)) as Uint8Array<ArrayBuffer>, 1_000),
    ).equals(message),
  ).toBe(true);
  expect(
    Buffer.from(await gzip.decompress(await compressionGzip.compress(message), 1_000)).equals(message),
  ).toBe(true);
  expect((await gzip.compress(message)).length).toBeLessThan(100);
});

test.each([
  ["identity", identity, Buffer.alloc(101)],
  ["gzip", gzip, gzipSync(Buffer.alloc(101))],
])("%s allows no byte more than the limit", async (_, compression, sent) => {
  expect(await compression.decompress(sent, 101)).toHaveLength(101);
  await expect(compression.decompress(sent, 100)).rejects.toThrow(refusal(Code.ResourceExhausted));
  await expect(compression.decompress(sent, 0)).rejects.toThrow(refusal(Code.ResourceExhausted));
});

test("one byte is too many where none is allowed", async () => {
  await expect(gzip.decompress(gzipSync("a"), 0)).rejects.toThrow(refusal(Code.ResourceExhausted));
});

test("a bomb is left where it passes the limit, long before its end", async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  bomb[bomb.length - 5] = ~(bomb.at(-5) ?? 0);
  // Read to its end it would be found corrupt.
  await expect(gzip.decompress(bomb, 65 << 20)).rejects.toThrow(refusal(Code.Internal));
  await expect(gzip.decompress(bomb, 100_000)).rejects.toThrow(refusal(Code.ResourceExhausted));
});

test.each([
  ["no gzip", Buffer.from("plain text")],
  ["only its beginning", gzipSync("abc").subarray(0, 12)],
  ["changed on its way", gzipSync("abc").fill(0xff, 10, 12)],
])("what is %s is no message", async (_, sent) => {
  await expect(gzip.decompress(sent, 100)).rejects.toThrow(refusal(Code.Internal));
});

test("an empty message need not be compressed", async () => {
  expect(await gzip.decompress(Buffer.alloc(0), 0)).toHaveLength(0);
});

test("what is accepted is said", () => {
  expect(acceptEncoding()).toBe("gzip");
  expect(acceptEncoding([gzip, other])).toBe("gzip,other");
});

test("the compression of a peer is found by its name", () => {
  expect(findCompression(undefined, Code.Unimplemented)).toBe(identity);
  expect(findCompression("identity", Code.Unimplemented)).toBe(identity);
  expect(findCompression("gzip", Code.Unimplemented)).toBe(gzip);
});

test.each([Code.Unimplemented, Code.Internal] as const)(
  "one that is unknown is code %d, and what there is",
  (code) => {
    for (const encoding of ["br", "", "GZIP", "gzip,br"]) {
      expect(() => findCompression(encoding, code)).toThrow(
        expect.objectContaining({ code, rawMessage: `unknown grpc-encoding "${encoding}"; there is gzip` }),
      );
    }
  },
);

test.each([
  ["gzip", gzip],
  ["identity,deflate, gzip", gzip],
  ["other,gzip", other],
  ["identity", identity],
  ["br;q=1", identity],
])("a peer that accepts %s gets %o", (accepted, compression) => {
  expect(chooseCompression(accepted, other, [gzip, other])).toBe(compression);
});

test("a peer that says nothing gets what it used", () => {
  expect(chooseCompression(undefined, gzip)).toBe(gzip);
  expect(chooseCompression("", gzip)).toBe(gzip);
  expect(chooseCompression(undefined, identity)).toBe(identity);
});

test("what is negotiated is what Connect negotiates", () => {
  const available = [gzip, other];
  for (const used of [null, "identity", "gzip", "other", "br"]) {
    for (const accepted of [null, "", "gzip", "other , gzip", "br", "identity"]) {
      const { request, response, error } = compressionNegotiate(available as never, used, accepted, "a");
      const find = () => findCompression(used ?? undefined, Code.Unimplemented, available);
      if (error) {
        expect(find).toThrow(refusal(error.code));
        continue;
      }
      expect(find()).toBe(request ?? identity);
      expect(chooseCompression(accepted ?? undefined, find(), available)).toBe(response ?? identity);
    }
  }
});
