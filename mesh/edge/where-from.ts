import type { IncomingMessage } from "node:http";
import ipaddr from "ipaddr.js";
import proxyAddr from "proxy-addr";
import type { RequestHandler } from "../rpc/server/port.ts";

type Request = Parameters<RequestHandler>[0];

/** Tells where requests come from. */
export interface WhereFrom {
  /**
   * The address that is counted: that of the connection, or, behind trusted proxies, the last one that is none of theirs. Of
   * IPv6 the first 64 bits, because that is the least that one caller is given. Empty if the connection has gone.
   */
  addressOf(request: Request): string;
  /** True if a trusted proxy says that its caller speaks TLS. */
  isSecure(request: Request): boolean;
}

/** Believes what requests say of where they come from only if one of these proxies, by address or range, has sent them. */
export function whereFrom(trustedProxies: readonly string[]): WhereFrom {
  const ofConnection = (request: Request) => request.socket.remoteAddress ?? "";
  if (trustedProxies.length === 0)
    return { addressOf: (request) => counted(ofConnection(request)), isSecure: () => false };
  const isTrusted = proxyAddr.compile([...trustedProxies]);
  return {
    addressOf(request) {
      const said = proxyAddr(request as IncomingMessage, isTrusted);
      // A proxy that is believed may still say what is no address; then it is counted itself.
      return counted(said) || counted(ofConnection(request));
    },
    isSecure(request) {
      return request.headers["x-forwarded-proto"] === "https" && isTrusted(ofConnection(request), 0);
    },
  };
}

const IPV4 = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;

/** Empty for what is no address. */
function counted(address: string): string {
  if (IPV4.test(address)) return address;
  if (!ipaddr.isValid(address)) return "";
  const parsed = ipaddr.process(address);
  if (parsed.kind() === "ipv4") return parsed.toString();
  const [a = 0, b = 0, c = 0, d = 0] = (parsed as ipaddr.IPv6).parts;
  return `${[a, b, c, d].map((part) => part.toString(16)).join(":")}::/64`;
}
