import type { HeaderField } from "./header-field.ts";

const ENTRIES = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

/** The fields that both peers know from the start, by index less one (RFC 7541, appendix A). */
export const STATIC_FIELDS: readonly HeaderField[] = ENTRIES.trim()
  .split("\n")
  .map((line) => {
    const [name = "", ...words] = line.split(" ");
    return { name, value: words.join(" ") };
  });

/** The last index of the static table; the newest entry of the dynamic one follows (RFC 7541, section 2.3.3). */
export const STATIC_COUNT = STATIC_FIELDS.length;

/** Where the static table has a name, with which values. */
export interface StaticName {
  /** The first index that has the name. */
  readonly index: number;
  readonly indexByValue: ReadonlyMap<string, number>;
}

/** The static table by name. */
export const STATIC_NAMES: ReadonlyMap<string, StaticName> = namesOf(STATIC_FIELDS);

function namesOf(fields: readonly HeaderField[]): Map<string, StaticName> {
  const names = new Map<string, { index: number; indexByValue: Map<string, number> }>();
  for (const [at, { name, value }] of fields.entries()) {
    const known = names.get(name) ?? { index: at + 1, indexByValue: new Map() };
    names.set(name, known);
    known.indexByValue.set(value, at + 1);
  }
  return names;
}
