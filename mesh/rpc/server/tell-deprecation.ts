import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { deprecationOf } from "../../contract/deprecation.ts";

/**
 * Tells the callers of methods that are to go, with answers and errors alike: `deprecation` since when (RFC 9745), `sunset`
 * from when on they may be gone (RFC 8594), `link` what to do instead.
 */
export function tellDeprecation(): Interceptor {
  return (next) => async (request) => {
    const said = saidOf(request.method);
    if (said.length === 0) return next(request);
    try {
      const response = await next(request);
      for (const [name, value] of said) response.header.set(name, value);
      return response;
    } catch (error) {
      if (error instanceof ConnectError) for (const [name, value] of said) error.metadata.set(name, value);
      throw error;
    }
  };
}

function saidOf(method: DescMethod): [string, string][] {
  const deprecation = deprecationOf(method);
  if (!deprecation) return [];
  const { since, sunset, link } = deprecation;
  return [
    ["deprecation", `@${since.getTime() / 1000}`],
    ...(sunset ? [["sunset", sunset.toUTCString()] as [string, string]] : []),
    ...(link ? [["link", `<${link}>; rel="deprecation"`] as [string, string]] : []),
  ];
}
