import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { AuditService } from "../gen/shop/audit/v1/audit_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testCluster } from "../mesh/testing/cluster.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startAudit } from "../services/audit/app.ts";
import { readSettings as readAuditSettings } from "../services/audit/config.ts";
import { startApp as startProduct } from "../services/product/app.ts";
import { readSettings as readProductSettings } from "../services/product/config.ts";

const NATS_URL = await testCluster();
const connection = await connect({ servers: NATS_URL.split(",") });
atEnd(() => connection.close());
const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });

/** How many nodes keep each stream, those of buckets among them. */
async function replicas(): Promise<Record<string, number>> {
  const streams = await Array.fromAsync(manager.streams.list());
  return Object.fromEntries(streams.map(({ config }) => [config.name, config.num_replicas]));
}

async function start(env: Readonly<Record<string, string>>) {
  const [product, audit] = await Promise.all([
    testService({
      contract: ProductService,
      readSettings: readProductSettings,
      start: startProduct,
      env: { NATS_URL, ...env },
    }),
    testService({
      contract: AuditService,
      readSettings: readAuditSettings,
      start: startAudit,
      env: { NATS_URL, ...env },
    }),
  ]);
  return async () => void (await Promise.all([product.stop(), audit.stop()]));
}

test("every stream and bucket is kept by as many nodes as NATS_REPLICAS says, also those that were there before", async () => {
  const all = ["ADVISORY", "CMD_PRODUCT", "DLQ", "DLQ_AUDIT", "EVT_PRODUCT", "KV_weft_registry", "REPLAY"];
  const each = (count: number) => Object.fromEntries(all.map((name) => [name, count]));
  const untilKept = (count: number) =>
    until(async () => {
      const kept = await replicas();
      return all.every((name) => kept[name] === count) && kept;
    });
  const stop = await start({});
  expect(await untilKept(1)).toEqual(each(1));
  await stop();

  // These are made anew, the others have to grow.
  for (const name of ["REPLAY", "CMD_PRODUCT"]) await manager.streams.delete(name);
  await start({ NATS_REPLICAS: "3" });
  expect(await untilKept(3)).toEqual(each(3));
}, 60_000);
