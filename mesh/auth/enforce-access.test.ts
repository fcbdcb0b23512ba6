import { create, type DescMethod } from "@bufbuild/protobuf";
import { type Client, Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import { describe, expect, test } from "vitest";
import { OrderSchema } from "../../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { SERVICE_TOKEN_HEADER } from "../core/caller.ts";
import { AppError } from "../core/errors.ts";
import { refusalOf } from "../testing/refusal.ts";
import { testServer } from "../testing/server.ts";
import { WIRE_PROTOCOLS } from "../testing/wire-protocols.ts";
import type { AccessRefusal } from "./access-refusal.ts";
import { enforceAccess, notAllowed } from "./enforce-access.ts";
import { assertOwner } from "./owner.ts";
import { serviceTokens, signCalls } from "./service-tokens.ts";
import { userTokens } from "./user-tokens.ts";

const signing = await generateKeyPair("ES256", { extractable: true });
const stranger = await generateKeyPair("ES256", { extractable: true });
const ofOrder = await generateKeyPair("EdDSA", { extractable: true });
const ofNobody = await generateKeyPair("EdDSA", { extractable: true });
const publicJwk = { ...(await exportJWK(signing.publicKey)), kid: "k1", alg: "ES256" };

const refused: string[] = [];
const enforcing = {
  services: [OrderService, PaymentService, ProductService],
  verifyUser: userTokens({
    issuer: "weft-shop",
    audience: "weft-shop",
    clockSkewMs: 5_000,
    keys: createLocalJWKSet({ keys: [publicJwk] }),
  }),
  verifyService: serviceTokens(new Map([["order", await exportJWK(ofOrder.publicKey)]]), 5_000),
  isOperator: (header: Headers) => header.get("mesh-operator-token") === "the-token",
  onRefused: (method: DescMethod, { reason, why }: AccessRefusal) =>
    void refused.push([method.name, reason, why ?? "-"].join(" ")),
};
const access = enforceAccess(enforcing);

const orders = await testServer(
  OrderService,
  {
    getOrder({ orderId }) {
      assertOwner("cust-ada", () => notAllowed(OrderService.method.getOrder));
      return { order: create(OrderSchema, { orderId }) };
    },
    listOrders: () => ({ orders: [] }),
    async *watchOrder({ orderId }) {
      assertOwner("cust-ada", () => orderNotFound(orderId));
      yield { order: create(OrderSchema, { orderId }) };
    },
  },
  { access },
);
const payments = await testServer(
  PaymentService,
  { capturePayment: () => ({}), refundPayment: () => ({}) },
  { access },
);
const products = await testServer(ProductService, { listProducts: () => ({ products: [] }) }, { access });

const orderNotFound = (orderId: string) =>
  new AppError(`no ${orderId}`, { code: Code.NotFound, reason: "ORDER_NOT_FOUND", domain: "test" });

const NOW = () => Math.floor(Date.now() / 1_000);

type Claims = { [Name in keyof JWTPayload]: JWTPayload[Name] | undefined };

function token(claims: Claims = {}, header: object = {}, key = signing.privateKey): Promise<string> {
  return new SignJWT({
    iss: "weft-shop",
    aud: "weft-shop",
    sub: "cust-ada",
    role: "customer",
    iat: NOW(),
    exp: NOW() + 60,
    ...claims,
  } as JWTPayload)
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: "k1", ...header })
    .sign(key);
}

const bearer = (its: string) => ({ headers: { authorization: `Bearer ${its}` } });
const MISSING = { code: "Unauthenticated", reason: "TOKEN_MISSING", domain: "mesh.weft" };
const INVALID = { code: "Unauthenticated", reason: "TOKEN_INVALID", domain: "mesh.weft" };
const DENIED = { code: "PermissionDenied", reason: "NOT_ALLOWED", domain: "mesh.weft" };
const ADA = await token();
const GRACE = await token({ sub: "cust-grace" });
const OPS = await token({ sub: "cust-ops", role: "operator" });

const EXPIRED = await token({ exp: NOW() - 60 });

const BAD: [string, string][] = [
  ["that is none", "not-a-token"],
  ["that has ended", EXPIRED],
  ["that never ends", await token({ exp: undefined })],
  ["that has not begun", await token({ nbf: NOW() + 60 })],
  ["for others", await token({ aud: "another-shop" })],
  ["of another issuer", await token({ iss: "another-shop" })],
  ["of nobody", await token({ sub: undefined })],
  ["of a role that there is not", await token({ role: "root" })],
  ["signed with another key", await token({}, {}, stranger.privateKey)],
  ["signed with a key that is not known", await token({}, { kid: "k2" }, stranger.privateKey)],
  ["of another type", await token({}, { typ: "mesh-service+jwt" })],
  [
    "that is not signed",
    new UnsecuredJWT({ role: "customer", iat: NOW(), exp: NOW() + 60 })
      .setIssuer("weft-shop")
      .setAudience("weft-shop")
      .setSubject("cust-ada")
      .encode(),
  ],
  [
    "signed by HS256 with the public key",
    await new SignJWT({
      role: "customer",
      iss: "weft-shop",
      aud: "weft-shop",
      sub: "cust-ada",
      iat: NOW(),
      exp: NOW() + 60,
    })
      .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: "k1" })
      .sign(new TextEncoder().encode(await exportSPKI(signing.publicKey))),
  ],
];

describe.each(WIRE_PROTOCOLS)("$name:", ({ open }) => {
  const client: Client<typeof OrderService> = createClient(OrderService, open(orders));
  const get = (options = {}) => client.getOrder({ orderId: "o1" }, options);

  test.each(BAD)("a token %s is refused", async (_, bad) => {
    expect(await refusalOf(get(bearer(bad)))).toEqual(INVALID);
  });

  test("no token is refused, one's own is answered, others' is denied", async () => {
    expect(await refusalOf(get())).toEqual(MISSING);
    expect((await get(bearer(ADA))).order?.orderId).toBe("o1");
    expect(await refusalOf(get(bearer(GRACE)))).toEqual(DENIED);
    expect((await get(bearer(OPS))).order?.orderId).toBe("o1");
  });

  test("the customer that a request names is the caller", async () => {
    const list = (its: string) => client.listOrders({ customerId: "cust-ada" }, bearer(its));
    expect((await list(ADA)).orders).toEqual([]);
    expect(await refusalOf(list(GRACE))).toEqual(DENIED);
    expect((await list(OPS)).orders).toEqual([]);
  });
});

const grpc = (way: (typeof WIRE_PROTOCOLS)[number] | undefined, server: typeof orders): Transport => {
  if (!way) throw new Error("there is no protocol");
  return way.open(server);
};
const payment = createClient(PaymentService, grpc(WIRE_PROTOCOLS[0], payments));
const product = createClient(ProductService, grpc(WIRE_PROTOCOLS[0], products));

test("what is public asks nobody, and refuses a token that proves nothing all the same", async () => {
  expect((await product.listProducts({})).products).toEqual([]);
  expect(await refusalOf(product.listProducts({}, bearer("made-up")))).toEqual(INVALID);
  expect(await refusalOf(product.listProducts({}, { headers: { authorization: "Basic YTpi" } }))).toEqual(
    INVALID,
  );
});

const refund = { orderId: "o1", amount: { currencyCode: "EUR", units: 1n } };

test("what is for operators is for them alone", async () => {
  expect(await refusalOf(payment.refundPayment(refund))).toEqual(MISSING);
  expect(await refusalOf(payment.refundPayment(refund, bearer(ADA)))).toEqual(DENIED);
  await payment.refundPayment(refund, bearer(OPS));
  await payment.refundPayment(refund, { headers: { "mesh-operator-token": "the-token" } });
});

/** The token that a service sends along with a call to this service of the contract. */
async function serviceToken(
  called: typeof PaymentService | typeof ProductService,
  its = ofOrder,
): Promise<string> {
  const layer = signCalls("order", await exportJWK(its.privateKey));
  const header = new Headers();
  const next: ReturnType<Interceptor> = async (request) => request as never;
  await layer(next)({ service: called, header } as never);
  return header.get(SERVICE_TOKEN_HEADER) ?? "";
}

const asService = (its: string) => ({ headers: { [SERVICE_TOKEN_HEADER]: its } });

test("what is internal is for services, each by its own key and for the service it calls", async () => {
  const capture = (options = {}) => payment.capturePayment({ orderId: "o1" }, options);
  await capture(asService(await serviceToken(PaymentService)));
  expect(await refusalOf(capture())).toEqual(MISSING);
  expect(await refusalOf(capture(bearer(OPS)))).toEqual(DENIED);
  expect(await refusalOf(capture(asService(await serviceToken(ProductService))))).toEqual(INVALID);
  expect(await refusalOf(capture(asService(await serviceToken(PaymentService, ofNobody))))).toEqual(INVALID);
  expect(await refusalOf(capture(asService(ADA)))).toEqual(INVALID);
  expect(await refusalOf(capture(asService("order")))).toEqual(INVALID);
});

test("a service does not get in its own name what only people may", async () => {
  const by = asService(await serviceToken(PaymentService));
  expect(await refusalOf(payment.refundPayment(refund, by))).toEqual(DENIED);
});

describe.each(WIRE_PROTOCOLS)("$name:", ({ open }) => {
  const client: Client<typeof OrderService> = createClient(OrderService, open(orders));

  test("a stream is its owner's, and a header that claims who calls is refused", async () => {
    const watched = (options: object) => Array.fromAsync(client.watchOrder({ orderId: "o1" }, options));
    expect(await watched(bearer(ADA))).toMatchObject([{ order: { orderId: "o1" } }]);
    refused.length = 0;
    expect(await refusalOf(watched(bearer(GRACE)))).toMatchObject({ code: "NotFound" });
    expect(await refusalOf(watched({}))).toEqual(MISSING);
    const forged = { headers: { ...bearer(ADA).headers, "x-user-id": "cust-grace" } };
    expect(await refusalOf(client.getOrder({ orderId: "o1" }, forged))).toMatchObject({
      code: "InvalidArgument",
      reason: "IDENTITY_FORGED",
    });
    expect(await refusalOf(client.getOrder({ orderId: "o1" }, bearer(EXPIRED)))).toEqual(INVALID);
    // What is not there as far as others may know is told for what it is to ourselves.
    expect(refused).toEqual([
      "WatchOrder NOT_ALLOWED -",
      "WatchOrder TOKEN_MISSING -",
      "GetOrder IDENTITY_FORGED -",
      "GetOrder TOKEN_INVALID ERR_JWT_EXPIRED",
    ]);
  });
});

test("an operator's token that is none is refused, whatever else comes with it", async () => {
  const guess = { headers: { ...bearer(OPS).headers, "mesh-operator-token": "guess" } };
  expect(await refusalOf(payment.refundPayment(refund, guess))).toEqual(INVALID);
  expect(await refusalOf(product.listProducts({}, guess))).toEqual(INVALID);
});

test("where it is open who proves nothing is let in, and what is proved counts", async () => {
  const open = await testServer(
    PaymentService,
    { capturePayment: () => ({}), refundPayment: () => ({}) },
    { access: enforceAccess({ ...enforcing, isOpen: true }) },
  );
  const client = createClient(PaymentService, grpc(WIRE_PROTOCOLS[0], open));
  await client.capturePayment({ orderId: "o1" });
  await client.refundPayment(refund);
  expect(await refusalOf(client.refundPayment(refund, bearer(ADA)))).toEqual(DENIED);
  expect(await refusalOf(client.refundPayment(refund, bearer("made-up")))).toEqual(INVALID);
  await client.refundPayment(refund, bearer(OPS));
});
