import { mkdtempSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { editedContracts } from "../mesh/testing/edited-contracts.ts";
import { promisedImages } from "../tools/contracts/contract-images.ts";
import { servicesOf } from "../tools/contracts/plugin/contracts.ts";
import { readImage } from "../tools/contracts/release/read-image.ts";
import { startNats } from "../tools/local/nats-server.ts";
import type { OwnServer } from "../tools/local/own-server.ts";
import { freePort } from "../tools/local/ports.ts";
import { checkout } from "./contract-copy.ts";
import { signIn } from "./shop.ts";
import { callsOf, type Journey, makeCall, servedBy } from "./time-travel/calls.ts";
import { commitOf, type OldShop, startOldShop } from "./time-travel/old-shop.ts";
import { PROTOCOLS } from "./time-travel/protocols.ts";

const today = editedContracts();
const releases = promisedImages(checkout).map((image) => ({
  release: basename(image, ".binpb"),
  image,
  commit: commitOf(checkout, image),
}));

// Where git does not know a release's commit, such as in a shallow clone, there is nothing to start.
describe.each(releases)("a client of today, at the servers of $release", ({ release, image, commit }) => {
  const offered = new Set(
    servicesOf(readImage(image)).flatMap(({ typeName, methods }) =>
      methods.map(({ name }) => `${typeName}/${name}`),
    ),
  );
  const { calls } = callsOf(servicesOf(today));
  let broker: OwnServer;
  let shop: OldShop;

  beforeAll(async () => {
    if (commit === undefined) return;
    // A broker for each: the streams of one shop are not those of another.
    const dataDir = mkdtempSync(join(inject("testDir"), `nats-${release}-`));
    broker = await startNats({
      binary: inject("natsServer"),
      dataDir,
      port: await freePort(),
      log: () => {},
    });
    const databasePrefix = `${release.replaceAll(".", "_")}_`;
    const databaseUrl = inject("postgresUrl");
    shop = await startOldShop(checkout, commit, { databaseUrl, natsUrl: broker.url, databasePrefix });
  }, 120_000);
  afterAll(async () => {
    await shop?.stop();
    await broker?.stop();
  }, 60_000);

  describe.skipIf(commit === undefined).each(Object.entries(PROTOCOLS))("by %s", (protocol, { open }) => {
    const journey: Journey = {
      id: `now-${protocol}`.toLowerCase().replaceAll(/[^a-z0-9]/g, "-"),
      answers: new Map(),
    };

    test.each(
      calls
        .filter(({ method }) => offered.has(method))
        .map((call, index) => [`${index + 1}. ${call.method}`, call] as const),
    )("%s", { timeout: 60_000 }, async (_, call) => {
      const service = servedBy(call.desc);
      const headers = service === "gateway" ? await signIn(shop.address(service), "ops") : {};
      const transport = open(`http://${shop.address(service)}`, today.registry, headers);
      expect(await makeCall(call, journey, transport, today.registry)).toMatchObject(call.expects as object);
    });
  });
});
