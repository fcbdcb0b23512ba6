import { expect, test } from "vitest";
import { derivedId, newId } from "./ids.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("new ids are UUIDv7, unique, and sort in the order in which they were made", () => {
  const ids = Array.from({ length: 10_000 }, newId);
  expect(new Set(ids.map((id) => UUID.exec(id)?.[1]))).toEqual(new Set(["7"]));
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
});

test("a derived id is a UUIDv5 that says its parts", () => {
  expect(UUID.exec(derivedId("a", "b"))?.[1]).toBe("5");
  expect(derivedId("a", "b")).toBe(derivedId("a", "b"));
  const others = [derivedId("b", "a"), derivedId("ab"), derivedId("a", "b", ""), derivedId('a","b')];
  expect(new Set([derivedId("a", "b"), ...others]).size).toBe(5);
});
