import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Interceptor } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { keptServiceKeys } from "../../tools/local/service-keys.ts";
import { tempDir } from "../../tools/local/temp-dir.ts";
import type { Caller } from "../core/caller.ts";
import { readConfig } from "../core/config.ts";
import { childOf } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import { openAuth } from "./open-auth.ts";
import { authSettings } from "./settings.ts";

const JWKS = { MESH_JWKS_URL: "http://127.0.0.1:1/jwks" };
const opened = (env: Record<string, string>) => openAuth("order", readConfig(authSettings, env));

test("callers must prove who they are unless it is said otherwise", () => {
  expect(() => opened({})).toThrow("MESH_AUTH=enforce needs MESH_JWKS_URL");
  expect(opened(JWKS).isEnforced).toBe(true);
  expect(opened({ MESH_AUTH: "off" })).toMatchObject({ isEnforced: false, access: undefined, outgoing: [] });
  // What is proved counts all the same.
  expect(opened({ MESH_AUTH: "off", ...JWKS }).access).toBeDefined();
});

test("a service signs its calls if it has a key, and one that cannot be read is told at the start", () => {
  const folder = tempDir();
  const keys = keptServiceKeys(folder, ["order"]);
  const env = { ...JWKS, MESH_SERVICE_KEY: keys.privateKeyOf("order"), MESH_SERVICE_KEYS: keys.publicKeys };
  expect(opened(env).outgoing).toHaveLength(1);
  expect(opened(JWKS).outgoing).toHaveLength(0);
  expect(() => opened({ ...JWKS, MESH_SERVICE_KEY: join(folder, "none.json") })).toThrow("none.json");
  mkdirSync(join(folder, "bad"));
  writeFileSync(join(folder, "bad/payment.json"), "no JSON");
  expect(() => opened({ ...JWKS, MESH_SERVICE_KEYS: join(folder, "bad") })).toThrow();
});

/** The token that goes along with a call of a method, made for a caller. */
async function passedOn(method: object, caller: Caller | undefined, own?: string): Promise<string | null> {
  const header = new Headers(own === undefined ? {} : { authorization: own });
  const next: ReturnType<Interceptor> = async (request) => request as never;
  const work = {
    trace: childOf(undefined),
    requestId: "r",
    deadlineMs: Number.POSITIVE_INFINITY,
    ...(caller && { caller }),
  };
  await runWork(work, () => opened(JWKS).identity(next)({ method, header } as never));
  return header.get("authorization");
}

test("a call for a customer is made in the customer's name, but not for what is public or what brings its own", async () => {
  const ada: Caller = { kind: "customer", id: "cust-ada", token: "t" };
  expect(await passedOn(OrderService.method.getOrder, ada)).toBe("Bearer t");
  expect(await passedOn(OrderService.method.getOrder, ada, "Bearer own")).toBe("Bearer own");
  expect(await passedOn(ProductService.method.getProduct, ada)).toBeNull();
  expect(await passedOn(OrderService.method.getOrder, undefined)).toBeNull();
  expect(await passedOn(OrderService.method.getOrder, { kind: "service", id: "order" })).toBeNull();
});
