import { join, resolve } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { releasedImages } from "../../tools/contracts/contract-images.ts";
import { type Contracts, servicesOf } from "../../tools/contracts/plugin/contracts.ts";
import { readImage } from "../../tools/contracts/release/read-image.ts";
import { callsOf, type Journey, makeCall, servedBy } from "./calls.ts";
import { keepEvents, type RecordedEvent, recordedReleases, releaseOf, typeOf } from "./corpus.ts";
import { commitOf, type OldShop, startOldShop } from "./old-shop.ts";
import { PROTOCOLS } from "./protocols.ts";

// Records what the shop of each release publishes: it is started from the release's commit, goes through everything
// that its contract offers, and its streams are kept as they are then.
const CHECKOUT = resolve(import.meta.dirname, "../..");
const QUIET_MS = 3_000;

for (const image of releasedImages(CHECKOUT)) {
  const release = releaseOf(image);
  if (recordedReleases(CHECKOUT).includes(release)) continue;
  // A release that is not committed yet is what this checkout has.
  const commit = commitOf(CHECKOUT, image) ?? "HEAD";
  console.log(`recording the events of ${release}, by the shop of ${commit}`);
  const contracts = readImage(join(CHECKOUT, image));
  // A supplier in a hurry, so that what it brings is recorded too.
  const shop = await startOldShop(CHECKOUT, commit, { env: { RESTOCK_STEP_MS: "50" } });
  try {
    await goThrough(shop, contracts);
    const events = await readStreams(shop.natsUrl);
    keepEvents(CHECKOUT, release, events);
    console.log(`${release}: ${events.length} events of ${new Set(events.map(typeOf)).size} types`);
  } finally {
    await shop.stop();
  }
}

async function goThrough(shop: OldShop, contracts: Contracts): Promise<void> {
  const services = servicesOf(contracts).filter(({ typeName }) => typeName.startsWith("shop."));
  const journey: Journey = { id: "recorded", answers: new Map() };
  const transportTo = (service: string) =>
    PROTOCOLS.gRPC.open(`http://${shop.address(service)}`, contracts.registry, {});
  for (const call of callsOf(services).calls) {
    const service = servedBy(call.desc);
    // It asks who calls, and publishes nothing.
    if (service === "gateway") continue;
    await makeCall(call, journey, transportTo(service), contracts.registry);
  }
  // What does not go well is recorded as well: an order that is declined, one that is cancelled, one that takes all there is.
  const orders = contracts.registry.getService("shop.order.v1.OrderService");
  if (!orders) throw new Error("the shop takes no orders");
  const client = createClient(orders, transportTo("order")) as Record<
    string,
    (input: unknown) => Promise<JsonObject>
  >;
  const place = (productId: string, quantity: number, paymentToken: string, wait?: string) => {
    const request = {
      customerId: "cust-grace",
      lines: [{ productId, quantity }],
      paymentToken,
      ...(wait && { wait }),
    };
    return client.placeOrder?.(fromJson(orders.method.placeOrder?.input as never, request));
  };
  await place("prod-espresso", 1, "tok_declined", "30s");
  const slow = await place("prod-espresso", 1, "tok_slow");
  const orderId = (slow?.order as JsonObject | undefined)?.orderId;
  await client.cancelOrder?.(
    fromJson(orders.method.cancelOrder?.input as never, { orderId: orderId as string, reason: "too slow" }),
  );
  await place("prod-grinder", 4, "tok_ok", "30s");
}

/** Every event stream as it is when nothing has come for a while. */
async function readStreams(natsUrl: string): Promise<RecordedEvent[]> {
  const connection = await connect({ servers: natsUrl });
  try {
    const manager = await jetstreamManager(connection);
    const names = async () => {
      const infos = await manager.streams.list().next();
      return infos.filter(({ config }) => config.name.startsWith("EVT_"));
    };
    for (let seen = -1, count = 0; seen !== count; ) {
      seen = count;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      count = (await names()).reduce((sum, { state }) => sum + state.messages, 0);
    }
    const events: RecordedEvent[] = [];
    for (const { config, state } of await names()) {
      for (let seq = 1; seq <= state.last_seq; seq++) {
        const message = await manager.streams.getMessage(config.name, { seq });
        if (!message) throw new Error(`${config.name} has lost its message ${seq}`);
        const headers = Object.fromEntries(
          [...message.header]
            .map(([name, values]) => [name, values[0] ?? ""] as const)
            .filter(([name]) => !/^Nats-Expected/i.test(name)),
        );
        const data = Buffer.from(message.data).toString("base64");
        events.push({ stream: config.name, seq, subject: message.subject, headers, data });
      }
    }
    return events;
  } finally {
    await connection.close();
  }
}
