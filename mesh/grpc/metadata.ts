import { Code, ConnectError } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";

/** What `new Headers(...)` takes. */
export type HeadersInit = NonNullable<ConstructorParameters<typeof Headers>[0]>;

/**
 * Names that are the protocols' own, so that nobody sends them as metadata. What else begins with `grpc-` passes: gRFC A6
 * has headers that the layers above write.
 */
const RESERVED: ReadonlySet<string> = new Set([
  "te",
  "host",
  "user-agent",
  "content-type",
  "content-length",
  "content-encoding",
  "accept-encoding",
  "trailer",
  // Of a connection; HTTP/2 has no place for them (RFC 9113, section 8.2.2).
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
  "grpc-message-type",
  "grpc-status",
  "grpc-message",
  "grpc-status-details-bin",
  // Connect's core writes these for any transport.
  "connect-timeout-ms",
  "connect-protocol-version",
  "connect-accept-encoding",
  "connect-content-encoding",
]);

/** Another value in each call: in a table of the connection they would only drive out what repeats. */
const OF_ONE_CALL: ReadonlySet<string> = new Set([
  "traceparent",
  "tracestate",
  "baggage",
  "x-request-id",
  "idempotency-key",
]);

const NAME = /^[0-9a-z_.-]+$/;
// More than gRPC's own ASCII-Value: what a peer sent in HTTP must be fit to be sent back.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Custom metadata as fields, without those that the protocols write themselves. Values of one name stay joined as `Headers`
 * joins them, and `-bin` values are the base64 text that they are. An object or pairs are cheaper than `Headers`, which
 * are not made for them. Throws INTERNAL for a name or a value that gRPC cannot carry.
 */
export function toFields(metadata: HeadersInit): HeaderField[] {
  return fieldsOf(metadata, (name) => {
    throw new ConnectError(`metadata "${name}" cannot be sent: ${whyNot(name)}`, Code.Internal);
  });
}

/** Like {@link toFields}, but leaves out what gRPC cannot carry. Never throws. */
export function toLegalFields(metadata: Headers): HeaderField[] {
  return fieldsOf(metadata, () => {});
}

function fieldsOf(metadata: HeadersInit, onIllegal: (name: string) => void): HeaderField[] {
  const fields: HeaderField[] = [];
  if (metadata instanceof Headers) {
    for (const [name, value] of metadata) addField(fields, name, value, onIllegal);
    return fields;
  }
  // Made into what `Headers` would make of them.
  const entries = Symbol.iterator in metadata ? metadata : Object.entries(metadata);
  for (const [name, value] of entries) {
    addField(fields, String(name).toLowerCase(), trimmed(String(value)), onIllegal);
  }
  return fields;
}

function addField(
  fields: HeaderField[],
  name: string,
  value: string,
  onIllegal: (name: string) => void,
): void {
  if (RESERVED.has(name) || name.startsWith(":")) return;
  if (!NAME.test(name) || !VALUE.test(value)) onIllegal(name);
  else if (OF_ONE_CALL.has(name)) fields.push({ name, value, indexing: "literal" });
  else fields.push({ name, value });
}

/** HTTP/2 has no value that begins or ends with white space (RFC 9113, section 8.2.1). */
function trimmed(value: string): string {
  const isPadded = isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1));
  return isPadded ? value.replace(/^[\t ]+|[\t ]+$/g, "") : value;
}

function isSpace(char: number): boolean {
  return char === 0x20 || char === 0x09;
}

function whyNot(name: string): string {
  return NAME.test(name)
    ? "its value has characters that are none of a header"
    : "a name is made of 0-9, a-z, _, - and .";
}

/**
 * The fields from `from` on as `Headers`, several of one name joined, without pseudo-headers and what `Headers` does not
 * take. Never throws.
 */
export function toHeaders(fields: readonly HeaderField[], from = 0): Headers {
  const headers = new Headers();
  appendFields(headers, fields, from);
  return headers;
}

/** Adds the fields to `headers` as {@link toHeaders} does. */
export function appendFields(headers: Headers, fields: readonly HeaderField[], from = 0): void {
  for (let i = from; i < fields.length; i++) {
    const { name, value } = fields[i] as HeaderField;
    if (name.startsWith(":")) continue;
    try {
      headers.append(name, value);
    } catch {
      // A peer's mistake is no reason to lose the call.
    }
  }
}

/** The value of the first field of this name. */
export function findValue(fields: readonly HeaderField[], name: string): string | undefined {
  for (const field of fields) if (field.name === name) return field.value;
  return undefined;
}
