import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ServiceName } from "../services/run.ts";
import { promisedImages } from "../tools/contracts/contract-images.ts";
import { servicesOf } from "../tools/contracts/plugin/contracts.ts";
import { readImage } from "../tools/contracts/release/read-image.ts";
import { checkout } from "./contract-copy.ts";
import { openShop } from "./shop.ts";
import { callsOf, type Journey, makeCall, servedBy } from "./time-travel/calls.ts";
import { PROTOCOLS, type Protocol, REST } from "./time-travel/protocols.ts";

const shop = await openShop();
const ops = await shop.signIn("ops");
const releases = promisedImages(checkout).map((image) => ({
  release: basename(image, ".binpb"),
  contracts: readImage(join(checkout, image)),
}));

describe.each(releases)("a client of $release, made from its image alone", ({ release, contracts }) => {
  const services = servicesOf(contracts).filter(({ typeName }) => typeName.startsWith("shop."));
  const { calls, without } = callsOf(services);

  test("calls every RPC of its contract", () => {
    expect(calls.length).toBeGreaterThan(20);
    // What streams what is still to come, and has nothing to say before.
    expect(without.filter((name) => name !== "shop.audit.v1.AuditService/WatchEvents")).toEqual([]);
  });

  // By REST a release is called that has routes, and by them; what else it takes to get there goes by gRPC.
  const hasRoutes = calls.some(({ desc }) => REST.speaks?.(desc));
  const protocols = { ...PROTOCOLS, ...(hasRoutes && { REST }) };

  describe.each(Object.entries<Protocol>(protocols))("by %s", (name, protocol) => {
    const journey: Journey = {
      id: `${release}-${name}`.toLowerCase().replaceAll(/[^a-z0-9]/g, "-"),
      answers: new Map(),
    };
    const steps = calls.map((call, index) => {
      const isSpoken = protocol.speaks?.(call.desc) ?? true;
      const title = `${index + 1}. ${call.method}${isSpoken ? "" : ", by gRPC"}`;
      return [title, call, isSpoken ? protocol : PROTOCOLS.gRPC] as const;
    });

    test.each<readonly [string, (typeof calls)[number], Protocol]>(steps)(
      "%s",
      { timeout: 60_000 },
      async (_, call, { open, door }) => {
        const service = door ?? (servedBy(call.desc) as ServiceName);
        const { registry } = contracts;
        const transport = open(
          `http://${shop.system.address(service)}`,
          registry,
          service === "gateway" ? ops : {},
        );
        expect(await makeCall(call, journey, transport, registry)).toMatchObject(call.expects as object);
      },
    );
  });
});
