import type { JsonValue } from "@bufbuild/protobuf";
import type { Clock } from "../core/clock.ts";
import { invalidRequest } from "../rpc/server/validation.ts";
import { bodyTooLarge, bodyTooSlow, unsupportedMediaType } from "./http-refusal.ts";
import { isWithin } from "./is-within.ts";

/** What a stream of JSON values is sent as, and under which names. */
export const NDJSON = "application/x-ndjson";
const NDJSON_TYPES = [NDJSON, "application/jsonl"];
const JSON_TYPES = ["application/json"];

/** What a body may cost. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** How long it may take to come. Milliseconds. */
  readonly withinMs: number;
  readonly clock: Clock;
}

/**
 * The JSON that the body of a request is; undefined if it has none. Throws UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE,
 * BODY_TOO_SLOW, or INVALID_REQUEST for what is no JSON. What is left of a body that is refused stays unread.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<JsonValue | undefined> {
  const { maxBytes, withinMs, clock } = limits;
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw bodyTooLarge("the body", maxBytes);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const read = async () => {
    for await (const chunk of chunksOf(request)) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw bodyTooLarge("the body", maxBytes);
      chunks.push(chunk);
    }
  };
  if (request.body && !(await isWithin(read(), withinMs, clock))) throw bodyTooSlow(withinMs);
  if (bytes === 0) return undefined;
  assertMediaType(request, JSON_TYPES);
  return parse(Buffer.concat(chunks), "the body");
}

/** The JSON values that the lines of a body are, with their numbers from 1; empty lines are passed over. Throws as {@link readJson} does. */
export async function* readJsonLines(
  request: Request,
  maxLineBytes: number,
): AsyncGenerator<readonly [line: number, value: JsonValue]> {
  assertMediaType(request, NDJSON_TYPES);
  let number = 0;
  let begun: Uint8Array[] = [];
  let bytes = 0;
  const take = (part: Uint8Array) => {
    bytes += part.byteLength;
    if (bytes > maxLineBytes) throw bodyTooLarge(`line ${number + 1}`, maxLineBytes);
    begun.push(part);
  };
  const end = (): JsonValue | undefined => {
    const line = Buffer.concat(begun);
    begun = [];
    bytes = 0;
    number++;
    return line.toString("latin1").trim() === "" ? undefined : parse(line, `line ${number}`);
  };
  for await (const chunk of chunksOf(request)) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, at));
      from = at + 1;
      const value = end();
      if (value !== undefined) yield [number, value];
    }
    take(chunk.subarray(from));
  }
  const value = end();
  if (value !== undefined) yield [number, value];
}

const NEWLINE = 0x0a;

/** Leaves the rest of a body that is given up unread: to cancel it would break the connection that the answer needs. */
async function* chunksOf({ body }: Request): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

function assertMediaType({ headers }: Request, types: readonly string[]): void {
  const said = headers.get("content-type");
  const [type, ...parameters] = (said ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isUtf8 = parameters.every((each) => !each.startsWith("charset=") || /^charset="?utf-8"?$/.test(each));
  const accept = types.join(", ");
  if (!types.includes(type ?? "") || !isUtf8)
    throw unsupportedMediaType(
      `the body is read as ${accept}, in UTF-8, not as ${said ?? "what it does not say"}`,
      accept,
    );
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity")
    throw unsupportedMediaType(`a body encoded as ${encoding} is not read`, accept);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function parse(bytes: Uint8Array, what: string): JsonValue {
  try {
    return JSON.parse(utf8.decode(bytes)) as JsonValue;
  } catch {
    throw invalidRequest([{ field: "", description: `${what} is no JSON in UTF-8` }]);
  }
}
