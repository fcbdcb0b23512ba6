/** A part of a document, by the names that it has there. */
export type Documented = { readonly [name: string]: unknown };

/** A parameter of an operation, whatever it is in. */
export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly schema: Documented;
}

/** An operation of an OpenAPI document. */
export interface Operation {
  readonly operationId: string;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly security: readonly Documented[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Readonly<Record<string, { readonly schema: Documented }>>;
  };
  readonly responses: Readonly<Record<string, Response>>;
}

/** What an operation may answer. */
export interface Response {
  readonly headers?: Readonly<Record<string, Documented>>;
  readonly content?: Readonly<Record<string, { readonly schema: Documented }>>;
}

/** An operation with where it is, all references of its parameters and answers resolved. */
export interface DocumentedOperation {
  readonly verb: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly responses: ReadonlyMap<string, Response>;
  readonly operation: Operation;
}

/** The operations of an OpenAPI document, in its order. */
export function operationsOf(document: Documented): DocumentedOperation[] {
  const paths = document.paths as Record<string, Record<string, Operation & { parameters: Documented[] }>>;
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([verb, operation]) => ({
      verb: verb.toUpperCase(),
      path,
      operation,
      parameters: operation.parameters.map((each) => resolved(document, each) as unknown as Parameter),
      responses: new Map(
        Object.entries(operation.responses).map(([status, each]) => [
          status,
          resolved(document, each as Documented) as Response,
        ]),
      ),
    })),
  );
}

/** What is meant by a reference into the document, or the part itself if it is none. */
export function resolved(document: Documented, part: Documented): Documented {
  if (typeof part.$ref !== "string") return part;
  const names = part.$ref.slice(2).split("/");
  let at: unknown = document;
  for (const name of names) at = (at as Documented | undefined)?.[name];
  if (typeof at !== "object" || at === null) throw new Error(`there is no ${part.$ref}`);
  return resolved(document, at as Documented);
}

/** Every reference in a document. */
export function refsIn(part: unknown): string[] {
  if (typeof part !== "object" || part === null) return [];
  return Object.entries(part).flatMap(([name, value]) =>
    name === "$ref" && typeof value === "string" ? [value] : refsIn(value),
  );
}
