import { addressOf, type Endpoint, isEndpoint } from "./target.ts";

/** What an instance says of itself in the registry. */
export interface Entry {
  readonly endpoint: Endpoint;
  /** For people: the instance's name in the logs. */
  readonly instance: string;
  /** For people, by the instance's own clock. */
  readonly startedAt: string;
}

/** The most that an entry may take. */
export const MAX_ENTRY_BYTES = 1_024;

/** The key of an instance. The address is a part of it, so that two instances of one name do not overwrite each other. */
export function keyOf(service: string, { instance, endpoint }: Entry): string {
  return [service, instance, addressOf(endpoint)].map(escapeToken).join(".");
}

/** The pattern of the keys of a service. */
export function keysOf(service: string): string {
  return `${escapeToken(service)}.>`;
}

/** The entry as JSON. Throws if it is too long. */
export function encodeEntry({ endpoint, instance, startedAt }: Entry): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify({ ...endpoint, instance, startedAt }));
  if (bytes.length > MAX_ENTRY_BYTES) throw new Error(`the entry takes more than ${MAX_ENTRY_BYTES} bytes`);
  return bytes;
}

/** The endpoint of an entry, or undefined if it is none of ours: too long, not JSON, or nowhere to be dialled. */
export function readEndpoint(value: Uint8Array): Endpoint | undefined {
  if (value.length > MAX_ENTRY_BYTES) return undefined;
  try {
    const { host, port } = JSON.parse(new TextDecoder().decode(value));
    const endpoint = { host, port };
    return isEndpoint(endpoint) ? endpoint : undefined;
  } catch {
    return undefined;
  }
}

/** What a key may not hold becomes its bytes in hexadecimal; `=` cannot stand for itself, so no two tokens become one. */
function escapeToken(text: string): string {
  const escapeBytes = (char: string) =>
    [...Buffer.from(char)].map((byte) => `=${byte.toString(16).padStart(2, "0")}`).join("");
  return text.replace(/[^A-Za-z0-9_-]/gu, escapeBytes);
}
