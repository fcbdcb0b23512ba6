import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { expect, test } from "vitest";
import { eventContract, isContracted } from "../mesh/contract/event.ts";
import { routesOf } from "../mesh/contract/routes.ts";
import { subjectOf } from "../mesh/events/subject.ts";
import { shopMessages, shopServices } from "../tools/contracts/shop-services.ts";
import { ANSWER_HEADERS } from "../tools/documents/openapi-answers.ts";
import { type Documented, operationsOf, refsIn, resolved } from "./documents/operations.ts";

const openapi = readJson("openapi.json");
const asyncapi = readJson("asyncapi.json");
const operations = operationsOf(openapi);

function readJson(file: string): Documented {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, "../contracts/documents", file), "utf8"));
}

test("openapi.json is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(openapi))).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
  const broken = structuredClone(openapi) as { info: { title?: string } };
  delete broken.info.title;
  expect(await validator.validate(broken)).toMatchObject({ valid: false });
});

test("each route of the contracts is one operation", async () => {
  const routes = (await shopServices()).flatMap(routesOf);
  const shape = (path: string) => path.replaceAll(/\{[^}]*\}/g, "{}");
  const stated = routes.map(({ verb, template }) => `${verb} ${shape(template.text)}`);
  expect(operations.map(({ verb, path }) => `${verb} ${shape(path)}`).sort()).toEqual(stated.sort());
  expect(stated.length).toBeGreaterThan(25);
});

test("each operation has a name of its own, and says what its path holds", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, parameters } of operations) {
    const named = [...path.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name);
    expect(parameters.filter((each) => each.in === "path").map(({ name }) => name)).toEqual(named);
  }
});

test("each operation and each field of a message is described", () => {
  for (const { operation } of operations) expect(operation.description, operation.operationId).toMatch(/\w/);
  const { schemas } = openapi.components as Record<string, Record<string, Documented>>;
  for (const [name, { properties = {} }] of Object.entries(schemas ?? {}))
    for (const [field, schema] of Object.entries(properties as Record<string, Documented>))
      if (name.startsWith("shop.")) expect(schema.description, `${name}.${field}`).toMatch(/\w/);
});

test("all that is referred to is there, and all that is there is referred to", () => {
  const refs = new Set(refsIn(openapi));
  const { securitySchemes, ...components } = openapi.components as Record<string, Record<string, unknown>>;
  const there = Object.entries(components).flatMap(([kind, each]) =>
    Object.keys(each).map((name) => `#/components/${kind}/${name}`),
  );
  expect([...refs].sort()).toEqual(there.sort());
  expect(Object.keys(securitySchemes ?? {})).toEqual(["bearer"]);
  expect(there).toContain(`#/components/headers/${Object.keys(ANSWER_HEADERS)[0]}`);
});

test("what is public asks for no token, all else does", () => {
  const security = Object.fromEntries(
    operations.map(({ operation }) => [operation.operationId, operation.security]),
  );
  expect(security).toMatchObject({
    "shop.product.v1.ProductService.GetProduct": [],
    "shop.customer.v1.CustomerService.SignIn": [],
    "shop.order.v1.OrderService.PlaceOrder": [{ bearer: [] }],
    "shop.product.v1.ProductService.CreateProduct": [{ bearer: [] }],
  });
});

test("what is to go says so, and until when it is there", () => {
  const old = operations.filter(({ operation }) => operation.deprecated);
  expect(old.length).toBeGreaterThan(3);
  for (const { operation } of old)
    expect(operation).toMatchObject({ tags: ["shop.review.v1.ReviewService"], "x-sunset": "2027-12-01" });
});

test("asyncapi.json is valid AsyncAPI 3.1, and all that it refers to is there", () => {
  const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
  (addFormats as unknown as typeof addFormats.default)(ajv);
  const specs = createRequire(import.meta.url)("@asyncapi/specs") as { schemas: Record<string, object> };
  const validate = ajv.compile(specs.schemas["3.1.0"] ?? {});
  expect([validate(asyncapi), validate.errors]).toEqual([true, null]);
  expect(validate({ ...asyncapi, operations: { broken: { action: "shout" } } })).toBe(false);
  const refs = refsIn(asyncapi);
  expect(refs.length).toBeGreaterThan(100);
  for (const $ref of refs) expect(resolved(asyncapi, { $ref })).toBeDefined();
});

test("each event and command is a channel under its subject, with its one message", async () => {
  const events = (await shopMessages()).filter(isContracted);
  const channels = asyncapi.channels as Record<
    string,
    { address: string; messages: Record<string, Documented>; "x-ordering": string }
  >;
  expect(Object.keys(channels).sort()).toEqual(events.map(({ typeName }) => typeName).sort());
  for (const message of events) {
    const { address, messages, ...channel } = channels[message.typeName] as (typeof channels)[string];
    const subject = subjectOf(eventContract(message), "some key").replace(/\.p\d\d\./, ".{partition}.");
    expect(address).toBe(subject);
    expect(Object.keys(messages)).toEqual([message.name]);
    expect(channel["x-ordering"]).toMatch(/^(NONE|STRICT|LATEST)$/);
  }
});

test("who publishes and who handles is what the contracts say", () => {
  const of = (event: string) =>
    Object.keys(asyncapi.operations as object)
      .filter((name) => name.endsWith(event))
      .map((name) => name.slice(0, -event.length - 1));
  expect(of("shop.order.v1.OrderConfirmed").sort()).toEqual([
    "audit__orders.handles",
    "notification__orders.handles",
    "order.publishes",
    "review__buyers.handles",
  ]);
  expect(of("shop.product.v1.RestockProduct").sort()).toEqual([
    "audit__product-commands.handles",
    "product.sends",
    "product__commands.handles",
  ]);
});
