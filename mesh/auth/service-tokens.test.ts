import type { Interceptor } from "@connectrpc/connect";
import { exportJWK, generateKeyPair } from "jose";
import { expect, test } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { SERVICE_TOKEN_HEADER } from "../core/caller.ts";
import { manualClock } from "../testing/clock.ts";
import { serviceTokens, signCalls } from "./service-tokens.ts";

const { publicKey, privateKey } = await generateKeyPair("EdDSA", { extractable: true });
const publicJwk = await exportJWK(publicKey);
const privateJwk = await exportJWK(privateKey);

function pair(clockSkewMs = 5_000) {
  const clock = manualClock();
  const layer = signCalls("order", privateJwk, clock);
  const verify = serviceTokens(new Map([["order", publicJwk]]), clockSkewMs, clock);
  const sent = async (service: typeof PaymentService | typeof ProductService | typeof Health) => {
    const header = new Headers();
    const next: ReturnType<Interceptor> = async (request) => request as never;
    await layer(next)({ service, header } as never);
    return header.get(SERVICE_TOKEN_HEADER) ?? "";
  };
  return { clock, sent, verify };
}

const INVALID = { reason: "TOKEN_INVALID" };

test("a token names who calls, for the one service that is called", async () => {
  const { sent, verify } = pair();
  const its = await sent(PaymentService);
  expect(await verify(its, PaymentService)).toEqual({ kind: "service", id: "order" });
  await expect(verify(its, ProductService)).rejects.toMatchObject(INVALID);
  expect(await sent(Health)).toBe("");
});

test("it is used for half a minute and good for a whole one, give or take the skew", async () => {
  const { clock, sent, verify } = pair();
  const first = await sent(PaymentService);
  clock.advance(29_000);
  expect(await sent(PaymentService)).toBe(first);
  clock.advance(1_000);
  expect(await sent(PaymentService)).not.toBe(first);
  clock.advance(34_000);
  expect((await verify(first, PaymentService)).id).toBe("order");
  // What is remembered of it ends with it.
  clock.advance(1_000);
  await expect(verify(first, PaymentService)).rejects.toMatchObject(INVALID);
});

test("what is no token is refused like any other that proves nothing", async () => {
  const { sent, verify } = pair();
  const [head = "", body = "", signature = ""] = (await sent(PaymentService)).split(".");
  const part = (text: string) => Buffer.from(text).toString("base64url");
  for (const bad of [
    "",
    "order",
    "..",
    `${head}.${part("{")}.${signature}`,
    `${head}.${part("null")}.${signature}`,
    `${head}.${part('{"iss":5}')}.${signature}`,
    `${head}.${part('{"iss":"payment"}')}.${signature}`,
    `${head}.${part('{"iss":"__proto__"}')}.${signature}`,
    `${part('{"alg":"none","typ":"mesh-service+jwt"}')}.${body}.`,
  ])
    await expect(verify(bad, PaymentService), bad).rejects.toMatchObject(INVALID);
});
