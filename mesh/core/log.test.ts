import { expect, test } from "vitest";
import { createLog, type Log } from "./log.ts";
import { runWork } from "./work.ts";

function written(write: (log: Log) => void, level = "debug"): Record<string, unknown>[] {
  const lines: string[] = [];
  write(createLog({ service: "order", instance: "1", level }, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line));
}

test("a line says who wrote it, when, and how bad it is", () => {
  const [line] = written((log) => log.warn({ orderId: "o1" }, "late"));
  expect(line).toMatchObject({ service: "order", instance: "1", level: "warn", msg: "late", orderId: "o1" });
  expect(new Date(line?.time as string).toISOString()).toBe(line?.time);
});

test("a line below the level is not written", () => {
  expect(written((log) => log.info("chatter"), "warn")).toEqual([]);
});

test("a line of a piece of work carries its trace and its request", () => {
  const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: "01" };
  const work = { trace, requestId: "r1", deadlineMs: 0 };
  const [within, outside] = written((log) => {
    runWork(work, () => log.info("within"));
    log.info("outside");
  });
  expect(within).toMatchObject({ traceId: trace.traceId, spanId: trace.spanId, requestId: "r1" });
  expect(Object.keys(outside ?? {})).not.toContain("traceId");
});

test.each([
  "password",
  "payment_token",
  "paymentToken",
  "access_token",
  "accessToken",
  "authorization",
  "cookie",
])("the value of %s is not written, and neither is that of a field within an object", (key) => {
  const [line] = written((log) => log.info({ [key]: "hunter2", request: { [key]: "hunter2", id: 7 } }, "x"));
  expect(line).toMatchObject({ [key]: "[redacted]", request: { [key]: "[redacted]", id: 7 } });
  expect(JSON.stringify(line)).not.toContain("hunter2");
});

test("an error is written with its cause", () => {
  const error = new Error("above", { cause: new Error("below") });
  const [line] = written((log) => log.error({ err: error }, "failed"));
  expect(JSON.stringify(line)).toContain("below");
});
