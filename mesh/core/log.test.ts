import { expect, test } from "vitest";
import { createLog, type Log, PRIVATE_NAMES } from "./log.ts";
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

test.each([...PRIVATE_NAMES])("the value of %s is not written, however deep it lies", (key) => {
  const secret = { [key]: { value: "hunter2" }, id: 7 };
  const fields = { ...secret, request: secret, all: { lines: [secret], of: { them: secret } } };
  const error = Object.assign(new Error("refused"), secret, { answer: { body: secret } });
  const [line] = written((log) => log.info({ ...fields, err: error }, "x"));
  const hidden = { [key]: "[redacted]", id: 7 };
  expect(line).toMatchObject({
    ...hidden,
    request: hidden,
    all: { lines: [hidden], of: { them: hidden } },
    err: { ...hidden, message: "refused", answer: { body: hidden } },
  });
  expect(JSON.stringify(line)).not.toContain("hunter2");
});

test("what a child says in each line is hidden too", () => {
  const [line] = written((log) => log.child({ email: "ada@example.com", id: 7 }).info("x"));
  expect(line).toMatchObject({ email: "[redacted]", id: 7 });
});

test("what holds itself, or says how it is written, is written", () => {
  const own: Record<string, unknown> = { id: 7 };
  own.own = own;
  const at = new Date(0);
  const [line] = written((log) => log.info({ own, at, seq: { toJSON: () => "17" } }, "x"));
  expect(line).toMatchObject({ own: { id: 7 }, at: "1970-01-01T00:00:00.000Z", seq: "17" });
});

test("what was thrown and is no error is written as it is", () => {
  const [text, object] = written((log) => {
    log.error({ err: "no luck" }, "failed");
    log.error({ err: { code: 7, email: "ada@example.com" } }, "failed");
  });
  expect(text?.err).toBe("no luck");
  expect(object?.err).toEqual({ code: 7, email: "[redacted]" });
});

test("an error is written with its cause", () => {
  const error = new Error("above", { cause: new Error("below") });
  const [line] = written((log) => log.error({ err: error }, "failed"));
  expect(JSON.stringify(line)).toContain("below");
});
