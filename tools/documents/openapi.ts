import type { DescEnum, DescService } from "@bufbuild/protobuf";
import { type Route, routesOf, statedRoutes } from "../../mesh/contract/routes.ts";
import { commentOf } from "./describe.ts";
import { type JsonSchemas, jsonSchemas, type Schema } from "./json-schema.ts";
import { ANSWER_HEADERS, REFUSAL_SCHEMAS, refusals } from "./openapi-answers.ts";
import { openapiOperation, openapiPath, PARAMETERS, SECURITY } from "./openapi-operation.ts";

/** What a document says of itself. */
export interface DocumentInfo {
  readonly title: string;
  readonly version: string;
}

/** What the document is made of. */
export interface DocumentedApi {
  readonly services: readonly DescService[];
  /** All enums there are; those of reasons are among them. */
  readonly enums: readonly DescEnum[];
  /** The mesh's reasons with their comments. Defaults to those of the generated code, which has none. */
  readonly meshErrors?: DescEnum;
}

/** What OpenAPI 3.1 has a place for. */
const VERBS = new Set(["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"]);

/**
 * What the gateway offers by HTTP, as OpenAPI 3.1: the routes of these services, as `mesh/rest` takes and answers them. A route
 * whose method of HTTP OpenAPI does not know is left out. Undefined if there is no route.
 */
export function openapi(
  info: DocumentInfo,
  { services, enums, meshErrors }: DocumentedApi,
): Schema | undefined {
  const schemas: JsonSchemas = jsonSchemas();
  const refused = refusals(enums, meshErrors);
  const paths = new Map<string, { path: string; operations: Record<string, Schema> }>();
  const offered = services.filter((service) => routesOf(service).length > 0);
  if (offered.length === 0) return undefined;
  const ids = new Set<string>();
  for (const route of offered.flatMap(routesAsStated)) {
    const { shape, path, names } = openapiPath(route.template, paths);
    const item = paths.get(shape) ?? { path, operations: {} };
    paths.set(shape, item);
    const { operationId, ...operation } = openapiOperation(route, names, schemas, refused);
    let id = operationId;
    for (let nth = 2; ids.has(id); nth++) id = `${operationId}.${nth}`;
    ids.add(id);
    item.operations[route.verb.toLowerCase()] = { operationId: id, ...operation };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: info.title,
      version: info.version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The gateway that this document comes from." }],
    tags: offered.map((service) => ({
      name: service.typeName,
      description: commentOf(service) ?? service.name,
    })),
    paths: Object.fromEntries([...paths.values()].map(({ path, operations }) => [path, operations])),
    components: {
      schemas: { ...schemas.components(), ...REFUSAL_SCHEMAS },
      responses: refused.components(),
      parameters: PARAMETERS,
      headers: ANSWER_HEADERS,
      securitySchemes: SECURITY,
    },
  };
}

/** Those that OpenAPI has a place for, in the order of the contract, which is the one for people. */
function routesAsStated(service: DescService): Route[] {
  const routes = routesOf(service);
  return service.methods.flatMap((method) =>
    statedRoutes(method)
      .filter(({ verb }) => VERBS.has(verb))
      .flatMap(
        ({ verb, path }) =>
          routes.find(
            (route) => route.method === method && route.verb === verb && route.template.text === path,
          ) ?? [],
      ),
  );
}

const DESCRIPTION = `Every RPC that has a route in the contracts, over HTTP and JSON. This document is generated from the same
contracts that the gateway reads.

Messages are proto3 JSON. A request may name its fields as the contract does, too, such as \`customer_id\`; an answer has
each field that has a default, even if it is empty. \`-Input\` is a message as requests have it, \`-Unchecked\` one whose rules
the service looks at itself.

HEAD is answered by whatever answers GET, and OPTIONS with what a path takes.`;
