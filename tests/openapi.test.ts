import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { shopServices } from "../tools/contracts/shop-services.ts";
import { schemaChecker } from "../tools/documents/schema-checker.ts";
import { type Documented, type DocumentedOperation, operationsOf } from "./documents/operations.ts";
import { type DocumentedRequest, requestByDocument } from "./documents/request-by-document.ts";
import { eventually, openShop } from "./shop.ts";
import { callsOf, type Journey } from "./time-travel/calls.ts";

const shop = await openShop();
const url = `http://${shop.system.address("gateway")}`;
// The document says which operations ask for a token; with an operator's all of them can be called.
const ops = await shop.signIn("ops");

// All that is known of the shop here is what it says of itself, and what its customers want.
const document = (await (await fetch(`${url}/openapi.json`)).json()) as Documented;
const operations = new Map(operationsOf(document).map((each) => [each.operation.operationId, each]));
const check = schemaChecker(document);

// What only services call, which other services do before callers from outside come to it.
const paid = { orderId: "documented-o", customerId: "cust-ada" };
await shop.payments.authorizePayment({
  ...paid,
  amount: { currencyCode: "EUR", units: 5n },
  paymentToken: "tok_ok",
});
await shop.payments.capturePayment({ orderId: paid.orderId });

const STREAMS = ["application/x-ndjson", "text/event-stream"];
const journey: Journey = { id: "documented", answers: new Map() };
const seen = new Set<string>();

async function send({ method, path, body }: DocumentedRequest, headers: Record<string, string> = {}) {
  const json = body && JSON.stringify(body.json);
  return fetch(`${url}${path}`, {
    method,
    headers: { "request-timeout": "35", ...(body && { "content-type": body.type }), ...ops, ...headers },
    ...(body && { body: body.type === "application/json" ? (json as string) : `${json}\n` }),
  });
}

/** The answer's JSON, or the first message of a stream, once the document has been found to say all of it. */
async function expectDocumented(
  { operation, responses }: DocumentedOperation,
  answer: Response,
): Promise<JsonValue> {
  const what = `${operation.operationId}, ${answer.status}`;
  const documented = responses.get(String(answer.status));
  expect(documented, `${what} is not in the document`).toBeDefined();
  if (answer.ok)
    for (const name of Object.keys(documented?.headers ?? {}))
      if (name !== "Mesh-Degraded") expect(answer.headers.has(name), `${what}: ${name}`).toBe(true);
  const type = answer.headers.get("content-type") ?? "";
  const { schema } = documented?.content?.[type] ?? {};
  expect(schema, `${what}: ${type}`).toBeDefined();
  const json = STREAMS.includes(type) ? await firstOf(answer, type) : ((await answer.json()) as JsonValue);
  expect(check(schema as Documented, json), `${what}: ${JSON.stringify(json)}`).toEqual([]);
  return json;
}

async function firstOf({ body }: Response, type: string): Promise<JsonValue> {
  let text = "";
  for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    const end = text.indexOf(type === "text/event-stream" ? "\n\n" : "\n");
    if (end !== -1) return JSON.parse(text.slice(0, end).replace(/^data: /, "")) as JsonValue;
  }
  throw new Error(`the stream ended after "${text}"`);
}

const { calls } = callsOf(await shopServices());
const routed = calls.flatMap((call) => {
  const operation = operations.get(`${call.desc.parent.typeName}.${call.desc.name}`);
  return operation ? [{ ...call, operation }] : [];
});

test.for(routed)("$method: request and answer are what the document says", async (call) => {
  const { operation, request, expects, isPatient, desc } = call;
  const isRefused = typeof expects === "object" && expects !== null && "refusal" in expects;
  const { answer, json, made } = await eventually(async () => {
    const made = requestByDocument(document, operation, request(journey));
    const answer = await send(made);
    const json = (await expectDocumented(operation, answer)) as JsonObject;
    // What it needs comes by events, a moment later.
    if (isPatient && !answer.ok) throw new Error(JSON.stringify(json));
    return { answer, json, made };
  });
  expect(answer.ok, JSON.stringify(json)).toBe(!isRefused);
  if (answer.ok) {
    seen.add(operation.operation.operationId);
    journey.answers.set(desc.name, json);
    if (made.body) expect(check(made.body.schema, made.body.json)).toEqual([]);
  }
  const etag = answer.headers.get("etag");
  if (etag === null) return;
  // What has changed since is a new answer.
  const again = await send(made, { "if-none-match": etag });
  if (again.status === 304) expect(operation.responses.has("304")).toBe(true);
  else expect(await expectDocumented(operation, again)).toBeDefined();
});

test("a stream is what the document says as events, too", async () => {
  const requests: Record<string, JsonObject> = {
    "shop.product.v1.ProductService.WatchStock": { productIds: ["prod-rare"] },
    "shop.audit.v1.AuditService.WatchEvents": {},
  };
  const streams = [...operations.values()].filter(
    ({ responses }) => responses.get("200")?.content?.[STREAMS[1] ?? ""],
  );
  for (const operation of streams) {
    const id = operation.operation.operationId;
    const request = requests[id] ?? {
      orderId: (journey.answers.get("PlaceOrder")?.order as JsonObject | undefined)?.orderId ?? "",
    };
    for (const accept of STREAMS) {
      const answer = send(requestByDocument(document, operation, request), { accept });
      // So that there is an event to be seen.
      if (id.endsWith("WatchEvents")) await placeOrder();
      await expectDocumented(operation, await answer);
      seen.add(id);
    }
  }
});

async function placeOrder(): Promise<void> {
  const operation = operations.get("shop.order.v1.OrderService.PlaceOrder") as DocumentedOperation;
  const lines = [{ productId: "prod-espresso", quantity: 1 }];
  const request = { customerId: "cust-ada", lines, paymentToken: "tok_ok" };
  expect((await send(requestByDocument(document, operation, request))).status).toBe(200);
}

test("what the document refuses the gateway refuses, with a body that the document knows", async () => {
  let refused = 0;
  for (const operation of operations.values()) {
    const [bad] = operation.parameters.filter(({ schema }) => "pattern" in schema && !("format" in schema));
    if (!bad || bad.in === "header") continue;
    expect(check(bad.schema, "no good"), `${operation.operation.operationId} ${bad.name}`).not.toEqual([]);
    const path = operation.path.replaceAll(/\{([^}]*)\}/g, "no%20good");
    const query = bad.in === "query" ? `?${bad.name}=no%20good` : "";
    for (const type of ["application/json", "application/problem+json"]) {
      const accept = `${type}, */*;q=0.5`;
      const answer = await send({ method: operation.verb, path: `${path}${query}` }, { accept });
      expect([path, answer.status, answer.headers.get("content-type")]).toEqual([path, 400, type]);
      await expectDocumented(operation, answer);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(30);
});

test("each operation of the document was answered", () => {
  // What was paid for cannot be called off any more.
  const without = [...operations.keys()].filter((id) => !seen.has(id));
  expect(without).toEqual(["shop.order.v1.OrderService.CancelOrder"]);
});
