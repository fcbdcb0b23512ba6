import { createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { NEVER } from "../core/signal.ts";
import { CallContext } from "./call-context.ts";

function contextOf(header: Headers) {
  const request = {
    stream: false,
    service: ProductService,
    method: ProductService.method.getProduct,
    requestMethod: "POST",
    url: "http://service.invalid/a",
    header,
    signal: NEVER,
    contextValues: createContextValues(),
    message: {},
  };
  return new CallContext(request as never);
}

test("a handler sees its call", () => {
  const header = new Headers({ "x-a": "1" });
  const context = contextOf(header);
  expect([context.requestHeader, context.signal, context.protocolName]).toEqual([header, NEVER, "grpc"]);
  expect([context.method.name, context.service, context.requestMethod]).toEqual([
    "GetProduct",
    ProductService,
    "POST",
  ]);
});

test("the time that is left is what the caller allowed, and none was allowed without a word", () => {
  expect(contextOf(new Headers()).timeoutMs()).toBeUndefined();
  const left = contextOf(new Headers({ "grpc-timeout": "5S" })).timeoutMs() ?? 0;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(5_000);
  expect(contextOf(new Headers({ "grpc-timeout": "0m" })).timeoutMs()).toBeLessThanOrEqual(0);
  // A timer must be able to wait for it.
  expect(contextOf(new Headers({ "grpc-timeout": "99999999H" })).timeoutMs()).toBeLessThan(2 ** 31);
});

test("headers that nobody looked at are not made", () => {
  const context = contextOf(new Headers());
  const answer = context.answer({} as never);
  expect(context.said).toEqual({ header: undefined, trailer: undefined });
  answer.header.set("x-a", "1");
  expect([context.said.header?.get("x-a"), context.said.trailer]).toEqual(["1", undefined]);
  expect([answer.header === context.responseHeader, answer.trailer === context.responseTrailer]).toEqual([
    true,
    true,
  ]);
});
