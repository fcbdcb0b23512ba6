import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "helmet";
import type { RequestHandler } from "../rpc/server/port.ts";

type Request = Parameters<RequestHandler>[0];

const SELF = ["'self'"];
const NONE = ["'none'"];

/** What pages may do: all that they need comes from where they come from, and no script stands in a page. */
const CONTENT = {
  useDefaults: false,
  directives: {
    defaultSrc: NONE,
    scriptSrc: SELF,
    // Viewers and charts place what they draw by style attributes.
    styleSrc: [...SELF, "'unsafe-inline'"],
    imgSrc: [...SELF, "data:"],
    fontSrc: [...SELF, "data:"],
    connectSrc: SELF,
    manifestSrc: SELF,
    workerSrc: SELF,
    formAction: SELF,
    baseUri: NONE,
    frameAncestors: NONE,
    objectSrc: NONE,
  },
};

const POLICY = {
  contentSecurityPolicy: CONTENT,
  xFrameOptions: { action: "deny" },
  strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: false },
  // For browsers that are gone, or that do by themselves what it says.
  xDownloadOptions: false,
  xDnsPrefetchControl: false,
  xPermittedCrossDomainPolicies: false,
  originAgentCluster: false,
} as const;

/** Header, value. */
type Field = readonly [string, string];

/**
 * Puts the headers of helmet into every answer, with a content security policy for pages that load nothing from elsewhere;
 * `strict-transport-security` only for who comes by TLS. An answer to somebody who says who they are is not kept, unless the
 * answer itself says otherwise.
 */
export function securityHeaders(isSecure: (request: Request) => boolean): RequestHandler {
  const fields = fieldsOf({ ...POLICY, strictTransportSecurity: false });
  const secured = fieldsOf(POLICY);
  return (request, response) => {
    for (const [name, value] of isSecure(request) ? secured : fields) response.setHeader(name, value);
    if (request.headers.authorization !== undefined) response.setHeader("cache-control", "no-store");
  };
}

/** What helmet says is the same for every answer, so it is asked once. */
function fieldsOf(options: Parameters<typeof helmet>[0]): Field[] {
  const fields: Field[] = [];
  const recorded = {
    setHeader: (name: string, value: string) => void fields.push([name.toLowerCase(), value]),
    removeHeader() {},
  };
  helmet(options)({} as IncomingMessage, recorded as unknown as ServerResponse, (error) => {
    if (error) throw error;
  });
  return fields;
}
