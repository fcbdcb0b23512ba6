import { STATUS_CODES } from "node:http";
import { type DescEnum, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import type { Code } from "@connectrpc/connect";
import { code, MeshError, MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { reasonName } from "../../mesh/contract/reasons.ts";
import type { Route } from "../../mesh/contract/routes.ts";
import { httpStatusOf } from "../../mesh/rest/http-status.ts";
import { meaningOf } from "./describe.ts";
import type { Schema } from "./json-schema.ts";

/** What else than an answer a route may be answered with. */
export interface Refusals {
  /** By status, each a reference; `default` is for all that may come of the mesh between. */
  ofRoute(route: Route, isPublic: boolean, hasKey: boolean): Record<string, Schema>;
  /** All that was referred to, by name. */
  components(): Record<string, Schema>;
}

/** The mesh's own reasons that callers of any route may be given, by the status that HTTP has for them. */
const OF_MESH: Readonly<Record<number, readonly MeshError[]>> = {
  400: [MeshError.INVALID_REQUEST, MeshError.IDENTITY_FORGED],
  401: [MeshError.TOKEN_MISSING, MeshError.TOKEN_INVALID],
  403: [MeshError.NOT_ALLOWED],
  406: [MeshError.NOT_ACCEPTABLE],
  408: [MeshError.BODY_TOO_SLOW],
  409: [MeshError.REQUEST_ID_REUSED],
  413: [MeshError.BODY_TOO_LARGE],
  415: [MeshError.UNSUPPORTED_MEDIA_TYPE],
  429: [MeshError.RATE_LIMITED],
  500: [MeshError.INTERNAL],
  503: [MeshError.DEPENDENCY_UNAVAILABLE, MeshError.SHED, MeshError.DRAINING],
  504: [MeshError.DEADLINE_EXCEEDED],
};
const ALWAYS = [400, 406, 429, 500, 503, 504];
const WITH_BODY = [408, 413, 415];
const WITH_KEY = [409];
const SIGNED_IN = [401, 403];
/** These say in `retry-after` when to come back. */
const COME_BACK = [429, 503];

/** Makes the refusals of a document, by the reasons that the contracts of each service's package state. */
export function refusals(enums: readonly DescEnum[], meshErrors: DescEnum = MeshErrorSchema): Refusals {
  const made = new Map<string, Schema>();
  const ofMesh = new Map(
    Object.entries(OF_MESH).map(([status, reasons]) => [
      Number(status),
      reasons.map((each) => meaning(meshErrors, each)),
    ]),
  );

  function ref(name: string, status: number | undefined, meanings: readonly string[]): Schema {
    if (!made.has(name)) made.set(name, response(status, meanings));
    return { $ref: `#/components/responses/${name}` };
  }

  function ofRoute({ method, body }: Route, isPublic: boolean, hasKey: boolean): Record<string, Schema> {
    const own = reasonsOf(method.parent, enums);
    const statuses = new Set([
      ...ALWAYS,
      ...own.keys(),
      ...(body === undefined ? [] : WITH_BODY),
      ...(hasKey ? WITH_KEY : []),
      ...(isPublic ? [] : SIGNED_IN),
    ]);
    const entries = [...statuses].map((status) => {
      const ofPackage = own.get(status);
      const name = ofPackage ? `${method.parent.file.proto.package}.${status}` : String(status);
      return [
        String(status),
        ref(name, status, [...(ofMesh.get(status) ?? []), ...(ofPackage ?? [])]),
      ] as const;
    });
    return { ...Object.fromEntries(entries), default: ref("default", undefined, []) };
  }

  return {
    ofRoute,
    components: () => Object.fromEntries([...made].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** What the reasons of a service's package mean, by the status of their codes. */
function reasonsOf({ file }: DescService, enums: readonly DescEnum[]): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const each of enums) {
    if (each.file.proto.package !== file.proto.package) continue;
    for (const value of each.values) {
      if (!hasOption(value, code)) continue;
      const status = httpStatusOf(getOption(value, code) as number as Code);
      found.set(status, [...(found.get(status) ?? []), meaning(each, value.number)]);
    }
  }
  return found;
}

function meaning(reasons: DescEnum, number: number): string {
  const value = reasons.value[number];
  if (!value) throw new Error(`${reasons.typeName} has no value ${number}`);
  return meaningOf(value, reasonName(reasons, number));
}

function response(status: number | undefined, meanings: readonly string[]): Schema {
  const title =
    status === undefined ? "Any other refusal" : (STATUS_CODES[status] ?? "Client Closed Request");
  return {
    description: [
      `${title}.`,
      ...(meanings.length > 0 ? [meanings.map((each) => `- ${each}`).join("\n")] : []),
    ].join("\n\n"),
    ...(status !== undefined &&
      COME_BACK.includes(status) && {
        headers: { "Retry-After": { $ref: "#/components/headers/Retry-After" } },
      }),
    ...(status === 401 && {
      headers: { "WWW-Authenticate": { $ref: "#/components/headers/WWW-Authenticate" } },
    }),
    content: {
      "application/json": { schema: { $ref: "#/components/schemas/google.rpc.Status" } },
      "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
    },
  };
}

/** The bodies of refusals, as `mesh/rest` writes them. */
export const REFUSAL_SCHEMAS: Readonly<Record<string, Schema>> = {
  "google.rpc.Status": {
    type: "object",
    title: "Status",
    description: "Why a call was refused: a gRPC code, words for people, and what programs need to know.",
    properties: {
      code: {
        type: "integer",
        minimum: 1,
        maximum: 16,
        description: "The code of gRPC (google/rpc/code.proto).",
      },
      message: { type: "string", description: "For people. It may change." },
      details: {
        type: "array",
        description:
          "Details of google.rpc: an ErrorInfo with the reason and its domain, a BadRequest that names each bad field, a RetryInfo that says when to come back.",
        items: {
          type: "object",
          properties: {
            "@type": { type: "string", examples: ["type.googleapis.com/google.rpc.ErrorInfo"] },
            reason: { type: "string", description: "Of an ErrorInfo: why, in a word of the contract." },
            domain: { type: "string", description: "Of an ErrorInfo: whose reason it is." },
            metadata: { type: "object", additionalProperties: { type: "string" } },
            fieldViolations: { type: "array", items: { $ref: "#/components/schemas/Violation" } },
            retryDelay: { type: "string", examples: ["1.500s"] },
          },
          required: ["@type"],
          additionalProperties: true,
        },
      },
    },
    required: ["code", "message", "details"],
  },
  Problem: {
    type: "object",
    title: "Problem",
    description: "The same as problem details (RFC 9457), for who prefers them.",
    properties: {
      type: { type: "string", format: "uri-reference" },
      title: { type: "string" },
      status: { type: "integer", minimum: 400, maximum: 599 },
      detail: { type: "string", description: "For people. It may change." },
      code: { type: "string", description: "The name of the gRPC code.", examples: ["NOT_FOUND"] },
      reason: { type: "string", description: "Why, in a word of the contract." },
      domain: { type: "string", description: "Whose reason it is." },
      metadata: { type: "object", additionalProperties: { type: "string" } },
      violations: { type: "array", items: { $ref: "#/components/schemas/Violation" } },
    },
    required: ["type", "title", "status", "detail", "code"],
  },
  Violation: {
    type: "object",
    title: "Violation",
    description: "A field that breaks a rule.",
    properties: {
      field: {
        type: "string",
        description: "Its path, such as `lines[0].quantity`. Empty for the request as a whole.",
      },
      description: { type: "string", description: "What is wrong, for people." },
    },
    required: ["field", "description"],
    additionalProperties: true,
  },
};

/** The headers of answers that more than one route has. */
export const ANSWER_HEADERS: Readonly<Record<string, Schema>> = {
  "Retry-After": {
    description: "In how many seconds it is worth trying again.",
    schema: { type: "integer", minimum: 0 },
  },
  "WWW-Authenticate": {
    description: "How to prove who calls.",
    schema: { type: "string", examples: ["Bearer"] },
  },
  RateLimit: {
    description:
      "By the name of each limit, how many calls are left (`r`), and in how many seconds it begins anew (`t`).",
    schema: { type: "string" },
  },
  "RateLimit-Policy": {
    description: "By the name of each limit, how many calls it allows (`q`) in how many seconds (`w`).",
    schema: { type: "string" },
  },
  ETag: { description: "Names these bytes, for If-None-Match.", schema: { type: "string" } },
  Vary: { description: "The headers of the request that the answer depends on.", schema: { type: "string" } },
  "Mesh-Degraded": {
    description: "There if the answer stands in for one that could not be had. It is not to be kept.",
    schema: { type: "string" },
  },
};
