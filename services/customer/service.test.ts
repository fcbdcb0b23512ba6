import { create } from "@bufbuild/protobuf";
import { TimestampSchema, timestampDate } from "@bufbuild/protobuf/wkt";
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { CustomerRole } from "../../gen/shop/customer/v1/customer_pb.ts";
import { CustomerService, type CustomerVersion } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { manualClock } from "../../mesh/testing/clock.ts";
import { published } from "../../mesh/testing/published.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const clock = manualClock();
const options = {
  contract: CustomerService,
  readSettings,
  start: (settings: ReturnType<typeof readSettings>) => startApp(settings, clock),
  env: { SEED: "demo" },
};
const customers = await testService(options);
const { client, sql, httpUrl } = customers;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DOMAIN = "shop.customer.v1";
const EMAIL_TAKEN = { code: "AlreadyExists", reason: "EMAIL_TAKEN", domain: DOMAIN };
const INVALID_CREDENTIALS = { code: "Unauthenticated", reason: "INVALID_CREDENTIALS", domain: DOMAIN };
const ADA = { email: "ada@example.com", password: "ada-demo" };

function newcomer() {
  return { email: `${newId()}@Example.COM`, displayName: "New", password: "new-secret", requestId: newId() };
}

async function jwks(from = httpUrl): Promise<JSONWebKeySet> {
  return (await fetch(`${from}/.well-known/jwks.json`)).json() as Promise<JSONWebKeySet>;
}

/** Checks a token as any other service would. */
async function verified(accessToken: string) {
  const keys = createLocalJWKSet(await jwks());
  return jwtVerify(accessToken, keys, {
    issuer: "weft-shop",
    audience: "weft-shop",
    currentDate: clock.date(),
  });
}

const kidOf = (accessToken: string) => decodeProtectedHeader(accessToken).kid;

test("customers are listed by id, each with the number of its last event", async () => {
  const made: string[] = [];
  for (let n = 0; n < 3; n++) made.push((await client.createCustomer(newcomer())).customer?.customerId ?? "");
  const all: CustomerVersion[] = [];
  for (let pageToken = ""; ; ) {
    const page = await client.listCustomerIds({ pageSize: 2, pageToken });
    expect(page.customers.length).toBeLessThanOrEqual(2);
    all.push(...page.customers);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  const ids = all.map(({ customerId }) => customerId);
  expect(ids).toEqual([...new Set(ids)].sort());
  expect(ids).toEqual(expect.arrayContaining(["cust-ada", "cust-grace", "cust-ops", ...made]));
  expect(new Set(all.map(({ version }) => version))).toEqual(new Set([1]));
  expect(await refusalOf(client.listCustomerIds({ pageToken: "made up" }))).toMatchObject({
    code: "InvalidArgument",
    fields: ["page_token"],
  });
});

test("a new customer gets an id, an address in lower case, and is announced once", async () => {
  const request = newcomer();
  const { customer } = await client.createCustomer(request);
  const email = request.email.toLowerCase();
  expect(customer).toMatchObject({ email, displayName: "New", role: CustomerRole.CUSTOMER });
  expect(customer?.createTime?.seconds).toBeGreaterThan(0n);
  const customerId = customer?.customerId ?? "";
  expect((await client.getCustomer({ customerId })).customer).toEqual(customer);
  expect(await published(sql, [CustomerRegisteredSchema], customerId)).toEqual([
    { $typeName: "shop.customer.v1.CustomerRegistered", customerId, email, displayName: "New" },
  ]);
});

test("an address has one account, in whatever capitals, and however many ask at once", async () => {
  const request = { ...newcomer(), requestId: "" };
  const asked = [request.email, request.email.toUpperCase(), request.email.toLowerCase()];
  const settled = await Promise.allSettled(
    asked.map((email) => client.createCustomer({ ...request, email })),
  );
  expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
  expect(await refusalOf(client.createCustomer(request))).toEqual(EMAIL_TAKEN);
});

test("registering again under a request id answers the same customer, also at once and with another password", async () => {
  const request = newcomer();
  const answers = await Promise.all([1, 2, 3].map(() => client.createCustomer(request)));
  answers.push(await client.createCustomer({ ...request, password: "other-secret" }));
  expect(new Set(answers.map(({ customer }) => customer?.customerId)).size).toBe(1);
  const customerId = answers[0]?.customer?.customerId ?? "";
  expect((await published(sql, [CustomerRegisteredSchema], customerId)).length).toBe(1);
  await client.signIn(request);
  const other = client.createCustomer({ ...request, displayName: "Other" });
  expect(await refusalOf(other)).toEqual({
    code: "AlreadyExists",
    reason: "REQUEST_ID_REUSED",
    domain: "mesh.weft",
  });
});

test("a refused registration is not remembered", async () => {
  const request = { ...newcomer(), email: ADA.email };
  expect(await refusalOf(client.createCustomer(request))).toEqual(EMAIL_TAKEN);
  expect(await refusalOf(client.createCustomer(request))).toEqual(EMAIL_TAKEN);
  await client.createCustomer({ ...newcomer(), requestId: request.requestId });
});

test("a password is kept as a hash only", async () => {
  const request = newcomer();
  const { customer } = await client.createCustomer(request);
  const rows = await sql`
    SELECT c::text AS text FROM customer c WHERE customer_id = ${customer?.customerId ?? ""}
    UNION ALL SELECT encode(result, 'escape') || content FROM request
    UNION ALL SELECT encode(payload, 'escape') || headers::text FROM outbox`;
  expect(rows[0]?.text).toContain("$scrypt$ln=15,r=8,p=3$");
  for (const { text } of rows) expect(text).not.toContain(request.password);
});

test("an unknown customer is not found", async () => {
  expect(await refusalOf(client.getCustomer({ customerId: newId() }))).toEqual({
    code: "NotFound",
    reason: "CUSTOMER_NOT_FOUND",
    domain: DOMAIN,
  });
});

test("a token says who, in which role, for one hour, and can be checked with the published keys", async () => {
  const { accessToken, expireTime } = await client.signIn({ ...ADA, email: "Ada@Example.com" });
  const { payload, protectedHeader } = await verified(accessToken);
  const iat = Math.floor(clock.date().getTime() / 1000);
  expect(payload).toEqual({
    iss: "weft-shop",
    aud: "weft-shop",
    sub: "cust-ada",
    role: "customer",
    iat,
    exp: iat + 3_600,
  });
  expect(expireTime?.seconds).toBe(BigInt(iat + 3_600));
  expect(protectedHeader).toEqual({ alg: "ES256", typ: "JWT", kid: expect.any(String) });
});

test("the token of an operator says so", async () => {
  const { accessToken } = await client.signIn({ email: "ops@example.com", password: "ops-demo" });
  expect((await verified(accessToken)).payload).toMatchObject({ sub: "cust-ops", role: "operator" });
});

test("a wrong password and an unknown address are refused alike", async () => {
  const messageOf = (call: Promise<unknown>) =>
    call.then(
      () => "signed in",
      (error: Error) => error.message,
    );
  const wrong = () => client.signIn({ ...ADA, password: "ada-dem0" });
  const unknown = () => client.signIn({ ...ADA, email: "nobody@example.com" });
  expect(await refusalOf(wrong())).toEqual(INVALID_CREDENTIALS);
  expect(await refusalOf(unknown())).toEqual(INVALID_CREDENTIALS);
  expect(await messageOf(wrong())).toBe(await messageOf(unknown()));
});

test("more sign-ins than can be checked are refused at once; those who go make room", async () => {
  const going = new AbortController();
  const guess = (of: number) => ({ email: `nobody-${of}@example.com`, password: "ada-dem0" });
  const asked = [...Array(60).keys()].map((of) => client.signIn(guess(of), { signal: going.signal }));
  const refused = await Promise.any(
    asked.map(async (call) => {
      const refusal = await refusalOf(call);
      if (refusal.reason === "TOO_MANY_SIGN_INS") return refusal;
      throw new Error(`refused for another reason: ${refusal.reason}`);
    }),
  );
  expect(refused).toEqual({ code: "ResourceExhausted", reason: "TOO_MANY_SIGN_INS", domain: DOMAIN });
  going.abort();
  await Promise.allSettled(asked);
  await client.signIn(ADA);
});

test("the published keys may be kept for five minutes, and hold nothing private", async () => {
  const response = await fetch(`${httpUrl}/.well-known/jwks.json`);
  expect(response.headers.get("cache-control")).toBe("public, max-age=300");
  const { keys } = (await response.json()) as JSONWebKeySet;
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys) expect(key).not.toHaveProperty("d");
  expect((await fetch(`${httpUrl}/.well-known/other.json`)).status).toBe(404);
});

test("keys rotate: published before they sign, kept while a token is good, the same on all instances", async () => {
  const other = await testService({ ...options, databaseUrl: customers.databaseUrl });
  const signIn = async (from = client) => (await from.signIn(ADA)).accessToken;
  const kids = async (from = httpUrl) => (await jwks(from)).keys.map(({ kid }) => kid);
  const first = kidOf(await signIn());
  expect(await kids()).toEqual([first]);

  clock.advance(24 * HOUR_MS - 15 * MINUTE_MS);
  const [old, next, ...more] = await kids();
  expect([old, more]).toEqual([first, []]);
  expect(await kids(other.httpUrl)).toEqual([first, next]);
  const lastOfFirst = await signIn();
  expect(kidOf(lastOfFirst)).toBe(first);

  clock.advance(20 * MINUTE_MS);
  expect(kidOf(await signIn())).toBe(next);
  expect(kidOf(await signIn(other.client))).toBe(next);
  expect((await verified(lastOfFirst)).payload.sub).toBe("cust-ada");

  clock.advance(HOUR_MS + 5 * MINUTE_MS);
  expect(await kids()).toEqual([next]);
  await expect(verified(lastOfFirst)).rejects.toThrow();
});

test("the well-known customers are there, and a second start leaves them and costs no hash", async () => {
  const rows = () => sql`
    SELECT email, display_name, role, password_hash FROM customer WHERE customer_id LIKE 'cust-%' ORDER BY email`;
  const before = await rows();
  expect(before.map(({ email, role }) => `${email} ${role}`)).toEqual([
    "ada@example.com customer",
    "grace@example.com customer",
    "ops@example.com operator",
  ]);
  const again = await testService({ ...options, databaseUrl: customers.databaseUrl });
  expect(await rows()).toEqual(before);
  for (const customerId of ["cust-ada", "cust-grace", "cust-ops"]) {
    expect((await published(sql, [CustomerRegisteredSchema], customerId)).length).toBe(1);
  }
  await again.client.signIn({ email: "grace@example.com", password: "grace-demo" });
});

test.each([
  ["an address that is none", { email: "ada" }, "email"],
  ["no name", { displayName: "" }, "display_name"],
  ["a short password", { password: "1234567" }, "password"],
  ["a request id with a blank", { requestId: "a b" }, "request_id"],
])("registering refuses %s", async (_, wrong, field) => {
  expect(await refusalOf(client.createCustomer({ ...newcomer(), ...wrong }))).toMatchObject({
    code: "InvalidArgument",
    reason: "INVALID_REQUEST",
    fields: [field],
  });
});

test("the other calls name each bad field too", async () => {
  const signIn = await refusalOf(client.signIn({ email: "", password: "" }));
  expect([signIn.code, signIn.fields]).toEqual(["InvalidArgument", ["email", "password"]]);
  const get = await refusalOf(client.getCustomer({ customerId: "/" }));
  expect([get.code, get.fields]).toEqual(["InvalidArgument", ["customer_id"]]);
});

test("too many wrong passwords block an address for a while, and do not tell whether anybody has it", async () => {
  const limited = await testService({ ...options, env: { ...options.env, SIGN_IN_MAX_ATTEMPTS: "2" } });
  const blocked = { code: "ResourceExhausted", reason: "SIGN_IN_BLOCKED", domain: DOMAIN };
  for (const email of [ADA.email, `${newId()}@example.com`]) {
    const guess = (password = "guess-guess") => refusalOf(limited.client.signIn({ email, password }));
    expect([await guess(), await guess(), await guess(), await guess(ADA.password)]).toEqual([
      INVALID_CREDENTIALS,
      INVALID_CREDENTIALS,
      blocked,
      blocked,
    ]);
  }
  const grace = { email: "grace@example.com", password: "grace-demo" };
  expect((await limited.client.signIn(grace)).accessToken).not.toBe("");
});

test("an operator rotates the keys; what cannot be is refused", async () => {
  const { kid, signTime } = await client.rotateSigningKeys({ signAfter: { seconds: 10n } });
  expect((await jwks()).keys.map((key) => key.kid)).toContain(kid);
  expect(timestampDate(signTime ?? create(TimestampSchema)).getTime()).toBe(clock.date().getTime() + 10_000);
  const { accessToken: before } = await client.signIn(ADA);
  expect(kidOf(before)).not.toBe(kid);
  clock.advance(10_000);
  const { accessToken: after } = await client.signIn(ADA);
  expect(kidOf(after)).toBe(kid);
  await Promise.all([before, after].map(verified));
  expect(await refusalOf(client.rotateSigningKeys({ signAfter: { seconds: 9n } }))).toMatchObject({
    code: "InvalidArgument",
    fields: ["sign_after"],
  });
});
