import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { MAX_TIMER_MS } from "../../core/clock.ts";
import { runWork, type Work } from "../../core/work.ts";
import { manualClock } from "../../testing/clock.ts";
import { refuseOverdue, watchCaller } from "./overdue.ts";

const method = ProductService.method.getProduct;
const OVERDUE = { code: Code.DeadlineExceeded, reason: "DEADLINE_EXCEEDED", domain: "mesh.weft" };

test("a call is refused from its deadline on, by its headers and in the stack, and counted each time", async () => {
  const clock = manualClock();
  const counted: string[] = [];
  const gate = refuseOverdue(clock, ({ name }) => void counted.push(name));
  const refusal = () => gate.refusal({ method, criticality: "CRITICAL", deadlineMs: 100 });
  const passes = () =>
    runWork({ deadlineMs: 100 } as Work, () =>
      gate.interceptor(async () => "passed" as never)({ method } as never),
    );
  clock.advance(99);
  expect([refusal(), await passes()]).toEqual([undefined, "passed"]);
  expect(counted).toEqual([]);
  clock.advance(1);
  expect(refusal()).toMatchObject(OVERDUE);
  await expect(passes()).rejects.toMatchObject(OVERDUE);
  expect(counted).toEqual(["GetProduct", "GetProduct"]);
});

/** A caller who waits until a deadline, and what is told of it. */
function watched(deadlineMs = 100) {
  const clock = manualClock();
  const caller = new AbortController();
  const told: unknown[] = [];
  const watch = () => watchCaller(clock, deadlineMs, caller.signal, (error) => void told.push(error));
  return { clock, caller, told, watch };
}

test("it is told when the deadline has passed", () => {
  const { clock, told, watch } = watched();
  watch();
  clock.advance(99);
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toMatchObject([OVERDUE]);
});

test("it is told when the caller has gone, and why, even if that was before", () => {
  const { caller, told, watch } = watched();
  watch();
  const left = new ConnectError("the stream was reset", Code.Canceled);
  caller.abort(left);
  expect(told).toEqual([left]);
  watch();
  expect(told).toEqual([left, left]);
});

test("that connect's own timer was first changes nothing about what is said", () => {
  const { caller, told, watch } = watched();
  watch();
  caller.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded));
  expect(told).toMatchObject([OVERDUE]);
});

test("who has stopped watching is told nothing, and leaves no timer", async () => {
  const { clock, caller, told, watch } = watched();
  watch()();
  await clock.whenSleeping(0);
  clock.advance(100);
  caller.abort();
  expect(told).toEqual([]);
});

test("a deadline that no timer can keep is none, not one that has passed", () => {
  const { clock, told, watch } = watched(Number.POSITIVE_INFINITY);
  watch();
  clock.advance(MAX_TIMER_MS - 1);
  expect(told).toEqual([]);
});
