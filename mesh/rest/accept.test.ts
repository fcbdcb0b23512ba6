import { expect, test } from "vitest";
import { preferred } from "./accept.ts";

test.each([
  [null, "application/json"],
  ["", "application/json"],
  ["*/*", "application/json"],
  ["application/*", "application/json"],
  ["text/*", "text/event-stream"],
  ["TEXT/Event-Stream", "text/event-stream"],
  ["text/event-stream, application/json", "application/json"],
  ["text/event-stream;q=0.9, application/json;q=0.8", "text/event-stream"],
  ["application/json;q=0, */*;q=0.1", "text/event-stream"],
  ["application/json; charset=utf-8; q=0.5, text/event-stream;q=0.4", "application/json"],
  ["text/html", undefined],
  ["application/json;q=0", undefined],
  ["nonsense", undefined],
])("accept: %s", (accept, expected) => {
  expect(preferred(accept, ["application/json", "text/event-stream"])).toBe(expected);
});
