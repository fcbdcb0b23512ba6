import { fromBinary, toJson } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { eventContract, isContracted } from "../mesh/contract/event.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { shopMessages } from "../tools/contracts/shop-services.ts";
import { schemaChecker } from "../tools/documents/schema-checker.ts";
import type { Documented } from "./documents/operations.ts";
import { resolved } from "./documents/operations.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop();
const document = (await (
  await fetch(`http://${shop.system.address("gateway")}/asyncapi.json`)
).json()) as Documented;
const check = schemaChecker(document);
const channels = document.channels as Record<
  string,
  { address: string; messages: Record<string, Documented> }
>;

const broker = await connect({ servers: shop.system.natsUrl });
atEnd(() => broker.close());
const manager = await jetstreamManager(broker);

/** All that is in a stream. */
async function* storedIn(stream: string) {
  const { state } = await manager.streams.info(stream);
  if (state.messages === 0) return;
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq });
    if (message) yield message;
  }
}

test("what an order has published is on the channels of the document, as it says", async () => {
  const { order } = await shop.orders.placeOrder(
    {
      customerId: "cust-ada",
      lines: [{ productId: "prod-espresso", quantity: 1 }],
      paymentToken: "tok_ok",
      wait: { seconds: 30n },
    },
    { headers: { tenant: "documented", baggage: "a=b" } },
  );
  expect(order?.orderId).toMatch(/./);
  await shop.orders.placeOrder({
    customerId: "cust-ada",
    lines: [{ productId: "prod-espresso", quantity: 1 }],
    paymentToken: "tok_declined",
    wait: { seconds: 30n },
  });
  const events = (await shopMessages()).filter(isContracted);
  const byType = new Map(events.map((message) => [message.typeName, message]));
  const streams = [...new Set(events.map((message) => eventContract(message).stream))];

  await eventually(async () => {
    const seen = new Set<string>();
    for (const stream of streams) {
      for await (const { subject, header, data } of storedIn(stream)) {
        const type = header.get("ce-type");
        const message = byType.get(type);
        const channel = channels[type];
        if (!message || !channel) throw new Error(`${type} is not in the document`);
        expect(subject).toMatch(new RegExp(`^${channel.address.replace("{partition}", "p[0-6][0-9]")}$`));
        const { headers, payload } = resolved(document, channel.messages[message.name] ?? {});
        const said = Object.fromEntries([...header].map(([name, values]) => [name, values.join(", ")]));
        expect([type, check(headers as Documented, said)]).toEqual([type, []]);
        const json = toJson(message, fromBinary(message, data), { alwaysEmitImplicit: true });
        expect([type, check(payload as Documented, json)]).toEqual([type, []]);
        seen.add(message.name);
      }
    }
    expect([...seen]).toEqual(
      expect.arrayContaining([
        "ProductCreated",
        "CustomerRegistered",
        "OrderPlaced",
        "OrderConfirmed",
        "OrderRejected",
        "StockReserved",
        "PaymentCaptured",
        "PaymentDeclined",
        "NotificationSent",
      ]),
    );
  });
});
