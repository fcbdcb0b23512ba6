import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { Schema } from "./json-schema.ts";

/** Says what is wrong with a value by a schema; nothing if all is well. */
export type Check = (schema: Schema, value: unknown) => string[];

/**
 * Checks values by schemas that refer into a document. Members that no schema names are wrong, too, unless a schema says
 * that there may be others: a document that leaves something out is to be noticed.
 */
export function schemaChecker(document: Schema): Check {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  // The package is CommonJS, whose default export is one of its members here.
  (addFormats as unknown as typeof addFormats.default)(ajv, { mode: "full" });
  ajv.addFormat("uint32", true).addFormat("uint64", true);
  ajv.addSchema(closed(document) as Schema, "document.json");
  const checks = new Map<string, ReturnType<typeof ajv.compile>>();
  return (schema, value) => {
    const key = JSON.stringify(schema);
    const known = checks.get(key) ?? ajv.compile(absolute(closed(schema)) as Schema);
    checks.set(key, known);
    known(value);
    return (known.errors ?? []).map(({ instancePath, message, params }) =>
      [instancePath || "/", message, JSON.stringify(params)].join(" "),
    );
  };
}

/** The schema without room for what it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([name, value]) => [name, closed(value)] as const);
  const isOpen = "type" in schema && "properties" in schema && !("additionalProperties" in schema);
  return Object.fromEntries(isOpen ? [...entries, ["additionalProperties", false]] : entries);
}

function absolute(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(absolute);
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) =>
      name === "$ref" && typeof value === "string"
        ? [name, `document.json${value}`]
        : [name, absolute(value)],
    ),
  );
}
