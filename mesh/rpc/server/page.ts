import { invalidRequest } from "./validation.ts";

/** The place in a list after which a page begins: the sort values of the last entry of the page before. */
export type Place = readonly string[];

/** How many entries a page has: the asked number, 50 if none was asked, at most 100 (AIP-158). */
export function pageSize(asked: number): number {
  return asked === 0 ? 50 : Math.min(asked, 100);
}

/** Makes a page token of the last entry's place. Opaque to callers (AIP-158). */
export function writePageToken(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/**
 * Reads a page token of `parts` values; undefined for the first page. Throws INVALID_ARGUMENT if it is none of ours, such
 * as one with a value that `isPart` does not know.
 */
export function readPageToken(
  token: string,
  parts: number,
  isPart: (part: string) => boolean = () => true,
): Place | undefined {
  if (token === "") return undefined;
  try {
    const place: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(place) && place.length === parts && place.every(isKeepable) && place.every(isPart))
      return place;
  } catch {
    // Falls through: what is no JSON is no token.
  }
  throw invalidRequest([{ field: "page_token", description: "is not a token that this method returned" }]);
}

/** No database keeps a text with U+0000, so none of ours is in a place. */
function isKeepable(part: unknown): boolean {
  return typeof part === "string" && !part.includes("\0");
}

/** Cuts `size` entries of what was read, which is one more if there is a next page, and makes the token of that. */
export function cutPage<T>(read: readonly T[], size: number, placeOf: (entry: T) => Place): [T[], string] {
  const page = read.slice(0, size);
  const last = page.at(-1);
  return [page, read.length > size && last !== undefined ? writePageToken(placeOf(last)) : ""];
}
