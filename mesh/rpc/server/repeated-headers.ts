import type { RequestHandler } from "./port.ts";

const WATCHED = ["authorization", "mesh-operator-token", "mesh-service-token"];

/**
 * Puts all values of a header that proves who calls into one, if it came more than once. Node keeps the first and forgets the
 * others; what stands in front of us may have looked at the last.
 */
export function joinRepeated({ rawHeaders, headers }: Parameters<RequestHandler>[0]): void {
  for (const name of WATCHED) {
    if (headers[name] === undefined) continue;
    const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
    if (values.length > 1) headers[name] = values.join(", ");
  }
}
