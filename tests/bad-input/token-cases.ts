import {
  type CryptoKey,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import type { BadInput } from "./cases.ts";

/** What bad tokens are made of. */
export interface TokenCaseOptions {
  /** The key that the customer service signs with: nobody else has it, which is why a test must be let look. */
  readonly privateJwk: JWK;
  readonly kid: string;
  /** An order of Ada's. */
  readonly orderId: string;
  /** Good tokens. */
  readonly ada: string;
  readonly grace: string;
}

const INVALID = { status: 401, says: "TOKEN_INVALID" } as const;
const MISSING = { status: 401, says: "TOKEN_MISSING" } as const;
const DENIED = { status: 403, says: "NOT_ALLOWED" } as const;
const NO_ORDER = { status: 404, says: "ORDER_NOT_FOUND" } as const;
const FORGED = { status: 400, says: "IDENTITY_FORGED" } as const;
const ORDERS_OF_ADA = "GET /v1/customers/cust-ada/orders HTTP/1.1";
const JSON_TYPE = "Content-Type: application/json";

const CLAIMS = [
  "X-User-Id",
  "X-User",
  "X-User-Role",
  "X-Customer-Id",
  "X-Principal",
  "X-Role",
  "X-Forwarded-User",
  "X-Remote-User",
  "Remote-User",
  "X-Authenticated-User",
  "X-Auth-Request-Email",
  "Mesh-Caller",
  "Mesh-Customer-Id",
  "Mesh-Principal",
  "Mesh-Role",
  "Mesh-Service",
  "Mesh-User",
];

/** All ways to be somebody else that the gateway must refuse, and how. */
export async function tokenCases(options: TokenCaseOptions): Promise<BadInput[]> {
  const { kid, ada, grace, orderId } = options;
  const issuer = (await importJWK(options.privateJwk, "ES256")) as CryptoKey;
  const { d: _, ...publicJwk } = options.privateJwk;
  const publicPem = await exportSPKI(
    (await importJWK(publicJwk, "ES256", { extractable: true })) as CryptoKey,
  );
  const stranger = await generateKeyPair("ES256", { extractable: true });
  const nowS = Math.floor(Date.now() / 1_000);
  const header = { alg: "ES256", typ: "JWT", kid };
  const claims = {
    iss: "weft-shop",
    aud: "weft-shop",
    sub: "cust-ada",
    role: "customer",
    iat: nowS,
    exp: nowS + 600,
  };

  const sign = (
    changes: Record<string, unknown>,
    its: Record<string, unknown> = {},
    key: CryptoKey | Uint8Array = issuer,
  ) =>
    new SignJWT({ ...claims, ...changes } as JWTPayload)
      .setProtectedHeader({ ...header, ...its } as unknown as JWTHeaderParameters)
      .sign(key);
  const unsigned = new UnsecuredJWT(claims).encode();
  const [head = "", , signature = ""] = ada.split(".");
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

  const bad: readonly (readonly [name: string, token: string])[] = [
    ["that has ended", await sign({ exp: nowS - 60, iat: nowS - 3_660 })],
    ["that never ends", await sign({ exp: undefined })],
    ["that ends at no number", await sign({ exp: "tomorrow" })],
    ["that is not valid yet", await sign({ nbf: nowS + 60 })],
    ["that was never issued", await sign({ iat: undefined })],
    ["of a foreign issuer", await sign({ iss: "https://evil.example" })],
    ["of no issuer", await sign({ iss: undefined })],
    ["for another audience", await sign({ aud: "another-shop" })],
    ["for several others", await sign({ aud: ["another-shop", "weft"] })],
    ["for no audience", await sign({ aud: undefined })],
    ["of nobody", await sign({ sub: undefined })],
    ["of an empty name", await sign({ sub: "" })],
    ["in no role", await sign({ role: undefined })],
    ["in a role that there is not", await sign({ role: "root" })],
    ["in several roles", await sign({ role: ["customer", "operator"] })],
    ["of a service's type", await sign({}, { typ: "mesh-service+jwt" })],
    ["of no type", await sign({}, { typ: undefined })],
    ["signed by a stranger", await sign({}, {}, stranger.privateKey)],
    ["of an unknown kid", await sign({}, { kid: "k1" }, stranger.privateKey)],
    ["whose kid is a path", await sign({}, { kid: "../../../dev/null" }, stranger.privateKey)],
    ["whose kid is SQL", await sign({}, { kid: "' OR 1=1 --" }, stranger.privateKey)],
    ["that brings its own key", await sign({}, { jwk: publicJwk, kid: "k1" }, stranger.privateKey)],
    ["that says where its key is", await sign({}, { jku: "https://evil.example/jwks" }, stranger.privateKey)],
    [
      "with an extension that must be understood",
      `${part({ ...header, crit: ["evil"], evil: 1 })}.${part(claims)}.${signature}`,
    ],
    ["that is not signed (alg none)", unsigned],
    ["that is not signed (alg None)", `${part({ ...header, alg: "None" })}.${part(claims)}.`],
    ["of alg none, with a signature", `${part({ ...header, alg: "none" })}.${part(claims)}.${signature}`],
    [
      "signed by HS256 with the public key as PEM",
      await sign({}, { alg: "HS256" }, new TextEncoder().encode(publicPem)),
    ],
    [
      "signed by HS256 with the public key as JWK",
      await sign({}, { alg: "HS256" }, new TextEncoder().encode(JSON.stringify(publicJwk))),
    ],
    ["with a signature of zeros", `${head}.${part(claims)}.${Buffer.alloc(64).toString("base64url")}`],
    [
      "whose signature is another's",
      `${head}.${part({ ...claims, sub: "cust-ops", role: "operator" })}.${signature}`,
    ],
    ["whose signature is cut off", ada.slice(0, ada.lastIndexOf(".") + 1)],
    ["whose signature is shorter", ada.slice(0, -4)],
    ["of two parts", ada.slice(0, ada.lastIndexOf("."))],
    ["of five parts", `${ada}.x.y`],
    ["of empty parts", ".."],
    ["that is no JSON inside", `${head}.${Buffer.from("{").toString("base64url")}.${signature}`],
    ["that is null inside", `${head}.${Buffer.from("null").toString("base64url")}.${signature}`],
    ["that is a word", "admin"],
    ["that is too long", "x".repeat(9_000)],
  ];

  const proofs: readonly (readonly [name: string, headers: readonly string[]])[] = [
    ["an empty authorization", ["Authorization: "]],
    ["no token after Bearer", ["Authorization: Bearer"]],
    ["only blanks after Bearer", ["Authorization: Bearer   "]],
    ["a password", [`Authorization: Basic ${Buffer.from("ada@example.com:ada-demo").toString("base64")}`]],
    ["a token without Bearer", [`Authorization: ${ada}`]],
    ["two tokens in one header", [`Authorization: Bearer ${ada}, Bearer ${ada}`]],
    ["two tokens after Bearer", [`Authorization: Bearer ${ada} ${ada}`]],
    ["two headers with good tokens", [`Authorization: Bearer ${ada}`, `Authorization: Bearer ${ada}`]],
    ["a good token, then a bad one", [`Authorization: Bearer ${ada}`, "authorization: Bearer x"]],
    ["a bad token, then a good one", ["Authorization: Bearer x", `AUTHORIZATION: Bearer ${ada}`]],
    ["a service's token", [`Authorization: Bearer ${ada}`, `Mesh-Service-Token: ${ada}`]],
    ["a service's token alone", ["Mesh-Service-Token: order"]],
    [
      "two tokens of operators",
      ["Mesh-Operator-Token: operator-secret", "Mesh-Operator-Token: operator-secret"],
    ],
  ];

  const as = (token: string) => [`Authorization: Bearer ${token}`];
  const post = (path: string, body: object, token: string) => {
    const text = JSON.stringify(body);
    const headers = [...as(token), JSON_TYPE, `Content-Length: ${Buffer.byteLength(text)}`];
    return { line: `POST ${path} HTTP/1.1`, headers, body: text };
  };
  const lines = [{ product_id: "prod-espresso", quantity: 1 }];
  const order = { customer_id: "cust-ada", lines, payment_token: "tok_ok" };
  const review = { customer_id: "cust-ada", rating: 1, title: "Hers" };
  const refund = { amount: { currency_code: "EUR", units: 1 } };

  return [
    ...bad.map(([name, token]) => ({
      name: `a token ${name}`,
      line: ORDERS_OF_ADA,
      headers: as(token),
      ...INVALID,
    })),
    ...bad.slice(0, 3).map(([name, token]) => ({
      name: `where all may read, a token ${name}`,
      line: "GET /v1/products HTTP/1.1",
      headers: as(token),
      ...INVALID,
    })),
    ...proofs.map(([name, headers]) => ({ name, line: ORDERS_OF_ADA, headers, ...INVALID })),
    { name: "a token in a cookie", line: ORDERS_OF_ADA, headers: [`Cookie: token=${ada}`], ...MISSING },
    {
      name: "a token in the query",
      line: `GET /v1/products?access_token=${ada} HTTP/1.1`,
      headers: as(ada),
      status: 400,
      says: "INVALID_REQUEST",
    },
    ...CLAIMS.map((name) => ({
      name: `${name} of somebody else`,
      line: ORDERS_OF_ADA,
      headers: [...as(grace), `${name}: cust-ada`],
      ...FORGED,
    })),
    {
      name: "the orders of somebody else",
      line: ORDERS_OF_ADA,
      headers: as(grace),
      ...DENIED,
    },
    {
      name: "the account of somebody else",
      line: "GET /v1/customers/cust-ada HTTP/1.1",
      headers: as(grace),
      ...DENIED,
    },
    {
      name: "the mails of somebody else",
      line: "GET /v1/customers/cust-ada/notifications HTTP/1.1",
      headers: as(grace),
      ...DENIED,
    },
    {
      name: "the order of somebody else",
      line: `GET /v1/orders/${orderId} HTTP/1.1`,
      headers: as(grace),
      ...NO_ORDER,
    },
    {
      name: "the changes of an order of somebody else",
      line: `GET /v1/orders/${orderId}:watch HTTP/1.1`,
      headers: as(grace),
      ...NO_ORDER,
    },
    {
      name: "the page of an order of somebody else",
      line: `GET /v1/order-pages/${orderId} HTTP/1.1`,
      headers: as(grace),
      ...NO_ORDER,
    },
    {
      name: "the payment of somebody else",
      line: `GET /v1/orders/${orderId}/payment HTTP/1.1`,
      headers: as(grace),
      status: 404,
      says: "PAYMENT_NOT_FOUND",
    },
    {
      name: "an order of somebody else called off",
      ...post(`/v1/orders/${orderId}:cancel`, {}, grace),
      ...NO_ORDER,
    },
    { name: "an order for somebody else", ...post("/v1/orders", order, grace), ...DENIED },
    {
      name: "a review for somebody else",
      ...post("/v1/products/prod-espresso/reviews", review, grace),
      ...DENIED,
    },
    {
      name: "a half star for somebody else",
      ...post(
        "/v2/products/prod-espresso/reviews",
        { customer_id: "cust-ada", half_stars: 1, title: "Hers" },
        grace,
      ),
      ...DENIED,
    },
    {
      name: "a refund by a customer",
      ...post(`/v1/orders/${orderId}/payment:refund`, refund, ada),
      ...DENIED,
    },
    {
      name: "a product by a customer",
      ...post("/v1/products", { product_id: "p", name: "P", price: { currency_code: "EUR", units: 1 } }, ada),
      ...DENIED,
    },
    { name: "all events for a customer", line: "GET /v1/events HTTP/1.1", headers: as(ada), ...DENIED },
  ];
}
