import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { text } from "node:stream/consumers";
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { MethodPolicySchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { enforceAccess } from "../auth/enforce-access.ts";
import { serviceTokens } from "../auth/service-tokens.ts";
import { userTokens } from "../auth/user-tokens.ts";
import { policies } from "../contract/policy.ts";
import { silentLog } from "../core/log.ts";
import { rest } from "../rest/rest.ts";
import { cors } from "../rpc/server/cors.ts";
import type { ServerOptions } from "../rpc/server/server.ts";
import { atEnd } from "../testing/at-end.ts";
import { recordingLog } from "../testing/log.ts";
import { testServer } from "../testing/server.ts";
import { WIRE_PROTOCOLS } from "../testing/wire-protocols.ts";
import { type CallLimitsOptions, callLimits } from "./call-limits.ts";
import { whereFrom } from "./where-from.ts";

const signing = await generateKeyPair("ES256", { extractable: true });
const tokens = { issuer: "weft-shop", audience: "weft-shop", clockSkewMs: 5_000 };
const access = enforceAccess({
  services: [CustomerService],
  verifyUser: userTokens({
    ...tokens,
    keys: createLocalJWKSet({ keys: [{ ...(await exportJWK(signing.publicKey)), kid: "k1", alg: "ES256" }] }),
  }),
  verifyService: serviceTokens(new Map(), 5_000),
  isOperator: () => true,
});

/** The headers with which somebody who has signed in calls, for an hour of the time that stands still. */
async function signedIn(sub: string): Promise<{ readonly authorization: string }> {
  const iat = Date.now() / 1_000;
  const claims = { iss: tokens.issuer, aud: tokens.audience, sub, role: "customer", iat, exp: iat + 3_600 };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: "k1" })
    .sign(signing.privateKey);
  return { authorization: `Bearer ${token}` };
}

// Only the time of day stands still: connections need their timers.
beforeEach(() => void vi.useFakeTimers({ now: new Date("2026-01-01T12:00:00Z"), toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

/** A server that lets each address call twice in 10 seconds, and sign in as its contract says. */
async function limited(
  { trustedProxies = [], ...more }: Partial<CallLimitsOptions> & { trustedProxies?: string[] } = {},
  options: Partial<ServerOptions> = {},
) {
  const seen: string[] = [];
  const refused: string[] = [];
  const services = [CustomerService];
  const limits = callLimits({
    services,
    policies: policies(),
    addressOf: whereFrom(trustedProxies).addressOf,
    maxCallsPerAddress: 2,
    maxCallsPerCaller: 3,
    windowMs: 10_000,
    maxKeys: 100,
    log: silentLog,
    onLimited: (limit) => refused.push(limit),
    ...more,
  });
  const server = await testServer(
    CustomerService,
    {
      getCustomer({ customerId }) {
        seen.push(customerId);
        return { customer: { customerId } };
      },
      signIn({ email }) {
        seen.push(email);
        return { accessToken: "secret" };
      },
    },
    { limits, web: (calls) => rest({ services, calls }), ...options },
  );
  const get = (headers: Record<string, string> = {}, path = "/v1/customers/c1", method = "GET") =>
    fetch(`${server.url}${path}`, { headers, method });
  return { server, seen, refused, get };
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw error ?? new Error("the call was not refused");
  return error;
}

function seenOf(error: ConnectError) {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: Code[error.code],
    infos: error
      .findDetails(ErrorInfoSchema)
      .map(({ reason, domain, metadata }) => [reason, domain, metadata]),
    retryDelayMs: delay && durationMs(delay),
    told: ["ratelimit", "ratelimit-policy", "retry-after"].map((name) => error.metadata.get(name)),
  };
}

describe.each(WIRE_PROTOCOLS)("over $name", (protocol) => {
  test("what is too much is refused before any layer sees it, with the time to come back", async () => {
    const telemetry: string[] = [];
    const { server, seen, refused } = await limited(
      {},
      {
        telemetry: (next) => (request) => {
          telemetry.push(request.method.name);
          return next(request);
        },
      },
    );
    const client = createClient(CustomerService, protocol.open(server));
    let told: (string | null)[] = [];
    const onHeader = (header: Headers) => {
      told = [header.get("ratelimit"), header.get("ratelimit-policy")];
    };
    await client.getCustomer({ customerId: "c1" }, { onHeader });
    expect(told).toEqual(['"address";r=1;t=10', '"address";q=2;w=10']);
    vi.setSystemTime(Date.now() + 4_000);
    await client.getCustomer({ customerId: "c2" });
    expect(seenOf(await failureOf(client.getCustomer({ customerId: "c3" })))).toEqual({
      code: "ResourceExhausted",
      infos: [["RATE_LIMITED", "mesh.weft", { limit: "address" }]],
      retryDelayMs: 6_000,
      told: ['"address";r=0;t=6', '"address";q=2;w=10', "6"],
    });
    expect([seen, refused]).toEqual([["c1", "c2"], ["address"]]);
    expect(telemetry).toHaveLength(2);
    vi.setSystemTime(Date.now() + 6_000);
    await client.getCustomer({ customerId: "c4" });
    expect(seen).toEqual(["c1", "c2", "c4"]);
  });

  test("a method's own limit is counted beside that of all calls, and told", async () => {
    const { server, seen, refused } = await limited({ maxCallsPerAddress: 100 });
    const client = createClient(CustomerService, protocol.open(server));
    const request = { email: "ada@example.com", password: "a" };
    for (let call = 0; call < 20; call++) await client.signIn(request);
    const limit = "shop.customer.v1.CustomerService/SignIn";
    expect(seenOf(await failureOf(client.signIn(request)))).toEqual({
      code: "ResourceExhausted",
      infos: [["RATE_LIMITED", "mesh.weft", { limit }]],
      retryDelayMs: 60_000,
      told: [`"address";r=79;t=10, "${limit}";r=0;t=60`, `"address";q=100;w=10, "${limit}";q=20;w=60`, "60"],
    });
    expect([seen.length, refused]).toEqual([20, [limit]]);
    await client.getCustomer({ customerId: "c1" });
    vi.setSystemTime(Date.now() + 60_000);
    await client.signIn(request);
    expect(seen.length).toBe(22);
  });
});

describe("over HTTP and JSON", () => {
  test("what is too much is 429 with retry-after, in either form of an error", async () => {
    const { get, seen } = await limited();
    const first = await get();
    expect([first.status, first.headers.get("ratelimit")]).toEqual([200, '"address";r=1;t=10']);
    expect(first.headers.get("ratelimit-policy")).toBe('"address";q=2;w=10');
    await get();
    const refused = await get();
    expect(refused.status).toBe(429);
    expect(Object.fromEntries(refused.headers)).toMatchObject({
      "content-type": "application/json",
      "cache-control": "no-store",
      "retry-after": "10",
      ratelimit: '"address";r=0;t=10',
      "ratelimit-policy": '"address";q=2;w=10',
    });
    expect(await refused.json()).toEqual({
      code: Code.ResourceExhausted,
      message: "this is more than 2 calls in 10 s; come back in 10 s",
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          reason: "RATE_LIMITED",
          domain: "mesh.weft",
          metadata: { limit: "address" },
        },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "10s" },
      ],
    });
    const problem = await get({ accept: "application/problem+json" });
    expect([problem.status, await problem.json()]).toMatchObject([
      429,
      { title: "Too Many Requests", reason: "RATE_LIMITED" },
    ]);
    const head = await get({}, "/v1/customers/c1", "HEAD");
    expect([head.status, await head.text()]).toEqual([429, ""]);
    expect(seen).toEqual(["c1", "c1"]);
  });

  test("a method's own limit holds, however the method is called", async () => {
    const { server } = await limited({ maxCallsPerAddress: 100 });
    const signIn = (path: string) =>
      fetch(`${server.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email: "ada@example.com", password: "a" }),
      });
    const paths = ["/v1/customers:signIn", "/shop.customer.v1.CustomerService/SignIn"];
    for (let call = 0; call < 20; call++) expect((await signIn(paths[call % 2] ?? "")).status).toBe(200);
    for (const path of paths) {
      const refused = await signIn(path);
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "60"]);
      expect(refused.headers.get("ratelimit")).toMatch(/^"address";r=\d+;t=10, "shop.*SignIn";r=0;t=60$/);
    }
  });

  test("what is nowhere, or no call at all, counts too", async () => {
    const { get } = await limited();
    const statuses = [];
    for (const path of ["/nowhere", "/shop.customer.v1.CustomerService/SignIn", "/nowhere"])
      statuses.push((await get({}, path)).status);
    expect(statuses).toEqual([404, 405, 429]);
  });

  test("a page of another origin reads that it calls too often, and may ask for leave to call", async () => {
    const { get } = await limited({}, { cors: cors(["https://shop.example"]) });
    const origin = "https://shop.example";
    for (let call = 0; call < 3; call++) {
      const leave = { origin, "access-control-request-method": "GET" };
      expect((await get(leave, "/v1/customers/c1", "OPTIONS")).status).toBe(204);
    }
    await get({ origin });
    await get({ origin });
    const refused = await get({ origin });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([429, origin]);
    expect(refused.headers.get("access-control-expose-headers")).toContain("RateLimit-Policy");
  });
});

test("health and metrics are never refused", async () => {
  const metrics = () => new Response("metrics");
  const http = ({ url }: { url: string }) => (new URL(url).pathname === "/metrics" ? metrics() : undefined);
  const { server, get } = await limited({}, { http });
  for (let call = 0; call < 3; call++) await get();
  expect((await get()).status).toBe(429);
  expect((await get({}, "/healthz")).status).toBe(200);
  expect((await get({}, "/metrics")).status).toBe(200);
  for (const protocol of WIRE_PROTOCOLS) await createClient(Health, protocol.open(server)).check({});
  expect((await get({}, "/healthz/../v1/customers/c1")).status).toBe(429);
  expect((await get({}, "/metricsx")).status).toBe(429);
});

test("callers behind a trusted proxy have a count each; who is none cannot choose its own", async () => {
  const trusted = await limited({ trustedProxies: ["loopback"] });
  const behind = (address: string) => trusted.get({ "x-forwarded-for": address });
  for (const address of ["192.0.2.1", "192.0.2.1", "192.0.2.2"])
    expect((await behind(address)).status).toBe(200);
  expect((await behind("192.0.2.1")).status).toBe(429);
  expect((await behind("6.6.6.6, 192.0.2.1")).status).toBe(429);
  expect((await behind("192.0.2.2")).status).toBe(200);
  const open = await limited();
  for (let n = 0; n < 2; n++) await open.get({ "x-forwarded-for": `192.0.2.${n}` });
  expect((await open.get({ "x-forwarded-for": "192.0.2.9" })).status).toBe(429);
});

test("many addresses take no more memory than the setting allows, and do not free who is over", async () => {
  // Counts go by timers too, which do not stand still: none is over before all have called.
  const { get } = await limited({ trustedProxies: ["loopback"], maxKeys: 50, windowMs: 3_600_000 });
  const from = async (address: string) => (await get({ "x-forwarded-for": address })).status;
  for (let call = 0; call < 2; call++) await from("192.0.2.1");
  for (let n = 0; n < 400; n++) {
    expect(await from(`10.0.${n >> 8}.${n & 255}`)).toBe(200);
    if (n % 20 === 0) expect(await from("192.0.2.1")).toBe(429);
  }
});

test("who has signed in is counted by name, from whatever address, and takes nothing from who shares it", async () => {
  const { get, refused } = await limited({ trustedProxies: ["loopback"] }, { access });
  const [ada, grace] = [await signedIn("ada"), await signedIn("grace")];
  const from = async (address: string, who: object = {}, customer = "ada") => {
    const answer = await get({ ...who, "x-forwarded-for": address }, `/v1/customers/${customer}`);
    return [answer.status, answer.headers.get("ratelimit")];
  };
  for (const [left, address] of [
    [2, "192.0.2.1"],
    [1, "192.0.2.1"],
    [0, "192.0.2.2"],
  ])
    expect(await from(String(address), ada)).toEqual([200, `"caller";r=${left};t=10`]);
  expect(await from("192.0.2.3", ada)).toEqual([429, '"caller";r=0;t=10']);
  expect(await from("192.0.2.1", grace, "grace")).toEqual([200, '"caller";r=2;t=10']);
  // Neither of them has taken a call of the address; who says nothing is counted by it.
  for (const left of [1, 0]) expect((await from("192.0.2.1"))[1]).toBe(`"address";r=${left};t=10`);
  expect(await from("192.0.2.1")).toEqual([429, '"address";r=0;t=10']);
  expect(refused).toEqual(["caller", "address"]);
});

test("who is over by name takes of the address what the proofs cost", async () => {
  const { get } = await limited({ maxCallsPerCaller: 1 }, { access });
  const ada = await signedIn("ada");
  const limits = [];
  for (let call = 0; call < 4; call++)
    limits.push((await get(ada, "/v1/customers/ada")).headers.get("ratelimit")?.split(";")[0]);
  expect(limits).toEqual(['"caller"', '"caller"', '"caller"', '"address"']);
});

test("a made-up token gives nobody a count of its own", async () => {
  const { get } = await limited({}, { access });
  const statuses = [];
  for (const token of ["a", "b", "c"])
    statuses.push((await get({ authorization: `Bearer ${token}` })).status);
  expect(statuses).toEqual([401, 401, 429]);
});

test("the log has one line for who is over in a window, with the address and no secret", async () => {
  const { log, lines } = recordingLog();
  const { get } = await limited({ log });
  for (let call = 0; call < 6; call++)
    await get({ authorization: "Bearer s3cret" }, "/v1/customers/c1?q=s3cret");
  expect(lines).toMatchObject([
    { level: 40, msg: "rate limited", limit: "address", maxCalls: 2, caller: "127.0.0.1" },
  ]);
  expect(JSON.stringify(lines)).not.toContain("s3cret");
});

test("a limit of the deployment's own holds from when it is there", async () => {
  const present = policies();
  const { get } = await limited({ policies: present, maxCallsPerAddress: 100 });
  const use = (maxCalls: number) => {
    const policy = create(MethodPolicySchema, { rateLimit: { maxCalls } });
    present.use({ services: {}, methods: { "shop.customer.v1.CustomerService/GetCustomer": policy } });
  };
  const statuses = async (calls: number) => {
    const seen = [];
    for (let call = 0; call < calls; call++) seen.push((await get()).status);
    return seen;
  };
  expect(await statuses(2)).toEqual([200, 200]);
  use(1);
  expect(await statuses(2)).toEqual([200, 429]);
  use(2);
  expect(await statuses(3)).toEqual([200, 200, 429]);
});

test("over HTTP/2 a refusal comes before the body, and leaves the connection as it was", async () => {
  const { server, get } = await limited();
  await get();
  await get();
  const session = connectHttp2(server.url);
  atEnd(async () => session.destroy());
  for (let call = 0; call < 2; call++) {
    const stream = session.request({ ":method": "POST", ":path": "/v1/customers" }, { endStream: false });
    const [headers] = await once(stream, "response");
    expect([headers[":status"], headers["retry-after"]]).toEqual([429, "10"]);
    expect(await text(stream)).toContain("RATE_LIMITED");
  }
  const head = session.request({ ":method": "HEAD", ":path": "/v1/customers/c1" });
  const [headers] = await once(head, "response");
  expect([headers[":status"], await text(head)]).toEqual([429, ""]);
  expect(session.closed).toBe(false);
});
