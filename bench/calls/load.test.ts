import { expect, test } from "vitest";
import { putLoad } from "./load.ts";

test("each place calls at least once, however short the time is", async () => {
  const measured = await putLoad(async (text) => text, { inFlight: 3, bytes: 2, ms: 0 });
  expect(measured).toMatchObject({ calls: 3, failed: 0 });
});
