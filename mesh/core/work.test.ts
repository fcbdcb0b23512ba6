import { describe, expect, test } from "vitest";
import { currentWork, iterateAsWork, runWork, type Work } from "./work.ts";

const work = (requestId: string): Work => ({
  trace: { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: "00" },
  requestId,
  deadlineMs: Number.POSITIVE_INFINITY,
});
const id = () => currentWork()?.requestId;

test("work follows every await, and ends with its function", async () => {
  const seen = await runWork(work("r1"), async () => {
    const first = id();
    await new Promise(setImmediate);
    return [first, id()];
  });
  expect(seen).toEqual(["r1", "r1"]);
  expect(currentWork()).toBeUndefined();
});

test("work within work hides it for as long as it lasts", () => {
  runWork(work("outer"), () => {
    expect(runWork(work("inner"), id)).toBe("inner");
    expect(id()).toBe("outer");
  });
});

describe("iterateAsWork", () => {
  async function* ids(seen: (string | undefined)[]) {
    try {
      seen.push(id());
      yield 1;
      seen.push(id());
      yield 2;
    } finally {
      seen.push(`end ${id()}`);
    }
  }

  test("runs a generator as the work, wherever it is asked", async () => {
    const seen: (string | undefined)[] = [];
    const values = iterateAsWork(work("its own"), ids(seen));
    expect(await runWork(work("another"), () => Array.fromAsync(values))).toEqual([1, 2]);
    expect(seen).toEqual(["its own", "its own", "end its own"]);
  });

  test("ends the generator, as the work too, when its reader leaves", async () => {
    const seen: (string | undefined)[] = [];
    for await (const _ of iterateAsWork(work("its own"), ids(seen))) break;
    expect(seen).toEqual(["its own", "end its own"]);
  });

  test("passes on what the generator fails with", async () => {
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    async function* failing() {
      throw new Error("broken");
    }
    await expect(Array.fromAsync(iterateAsWork(work("r"), failing()))).rejects.toThrow("broken");
  });
});
