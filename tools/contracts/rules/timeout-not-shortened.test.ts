import { clearExtension } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./timeout-not-shortened.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const WATCH = "shop.order.v1.OrderService/WatchOrder";

const sets =
  (name: string, times: { timeout?: number; maxTimeout?: number; idleTimeout?: number }) =>
  ({ method }: Editor) =>
    editOption(method(name), policy, (its) => {
      for (const [key, ms] of Object.entries(times)) its[key as keyof typeof times] = durationFromMs(ms);
    });

test("time may stay as it is, and grow", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, sets(GET, { timeout: 3_000, maxTimeout: 90_000 }))).toEqual([]);
});

test("a shorter timeout is refused", () => {
  expect(objections(rule, sets(GET, { timeout: 1_999 }))).toEqual([
    `${GET} shortens its timeout from 2000 ms to 1999 ms.`,
  ]);
});

test("so is what the server grants at most, which was a default", () => {
  expect(objections(rule, sets(GET, { maxTimeout: 30_000 }))).toEqual([
    `${GET} shortens its max_timeout from 60000 ms to 30000 ms.`,
  ]);
});

test("so is the silence that a stream may keep", () => {
  expect(objections(rule, sets(WATCH, { idleTimeout: 60_000 }))).toEqual([
    `${WATCH} shortens its idle_timeout from 3600000 ms to 60000 ms.`,
  ]);
});

test("so is a first limit for a stream that had none", () => {
  expect(objections(rule, sets(WATCH, { timeout: 60_000 }))).toEqual([
    `${WATCH} shortens its timeout from no limit to 60000 ms.`,
  ]);
});

test("an RPC that stated no policy had promised nothing", () => {
  const silent = ({ method }: Editor) => {
    const { options } = method(GET);
    if (options) clearExtension(options, policy);
  };
  expect(objections(rule, undefined, silent)).toEqual([]);
});
