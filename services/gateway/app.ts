import { StorefrontService } from "../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { openProcess } from "../../mesh/app/parts.ts";
import type { App } from "../../mesh/app/serve.ts";
import { serveEdge } from "../../mesh/app/serve-edge.ts";
import { callLimits } from "../../mesh/edge/call-limits.ts";
import { securityHeaders } from "../../mesh/edge/security-headers.ts";
import { whereFrom } from "../../mesh/edge/where-from.ts";
import { rest } from "../../mesh/rest/rest.ts";
import { cors } from "../../mesh/rpc/server/cors.ts";
import { passOn } from "../../mesh/rpc/server/pass-on.ts";
import { openClients, pageClients } from "./clients.ts";
import type { Settings } from "./config.ts";
import { documents } from "./documents.ts";
import { shopPage } from "./page.ts";
import { storefrontService } from "./storefront.ts";

/** Builds the gateway and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  // The way in for people and partners is never open, whatever the services behind it are.
  const parts = openProcess("gateway", { ...settings, auth: "enforce" });
  const { policies, log, telemetry } = parts;
  const behind = openClients(settings, parts.clients);
  const services = [...behind.map(({ service }) => service), StorefrontService];
  const storefront = storefrontService(pageClients(behind), log);
  const page = shopPage(settings.pageFolder);
  if (!page) log.warn({ folder: settings.pageFolder }, "there is no page; make web builds it");
  const origins = settings.corsOrigins.split(",").map((origin) => origin.trim());
  const { addressOf, isSecure } = whereFrom(settings.trustedProxies);
  const limits = callLimits({
    services,
    policies,
    addressOf,
    maxCallsPerAddress: settings.rateLimitPerAddress,
    maxCallsPerCaller: settings.rateLimitPerCaller,
    windowMs: settings.rateLimitWindowMs,
    maxKeys: settings.rateLimitMaxKeys,
    log,
    onLimited: (limit) => telemetry.count("mesh.server.rate_limited", { limit }),
  });
  return serveEdge(parts, {
    services,
    routes(router) {
      for (const { methods, way } of behind) passOn(router, methods, way);
      router.service(StorefrontService, storefront);
    },
    files: [...documents(), ...(page ? [page] : [])],
    web: (calls) => rest({ services, calls, policies, bodyWithinMs: settings.restBodyWithinMs }),
    adorn: securityHeaders(isSecure),
    cors: cors(origins.filter((origin) => origin !== "")),
    ...(settings.rateLimit === "on" && { limits }),
    targets: [...new Set(behind.map(({ way }) => way))],
  });
}
