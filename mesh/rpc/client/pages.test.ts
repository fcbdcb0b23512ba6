import { expect, test } from "vitest";
import { pages } from "./pages.ts";

/** Answers with these pages, whose tokens are their places, and notes what was asked for. */
function listing(...items: readonly string[]) {
  const asked: string[] = [];
  async function ask(pageToken: string) {
    asked.push(pageToken);
    const at = Number(pageToken);
    return { item: items[at], nextPageToken: at + 1 < items.length ? String(at + 1) : "" };
  }
  return { asked, ask };
}

test("each page is asked for with the token of the one before, from the first to the last", async () => {
  const { asked, ask } = listing("a", "b", "c");
  const seen: unknown[] = [];
  for await (const { item } of pages(ask)) seen.push(item);
  expect(seen).toEqual(["a", "b", "c"]);
  expect(asked).toEqual(["", "1", "2"]);
});

test("a page is not asked for before it is wanted", async () => {
  const { asked, ask } = listing("a", "b");
  for await (const _ of pages(ask)) break;
  expect(asked).toEqual([""]);
});
