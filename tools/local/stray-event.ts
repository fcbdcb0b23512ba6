import { jetstream } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { newId } from "../../mesh/core/ids.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { openNats } from "../../mesh/nats/connection.ts";

const USAGE = `Publishes an OrderConfirmed that nobody can read, as a broken publisher would: its consumers make it a dead letter.

  node tools/local/stray-event.ts KEY

NATS_URL names another broker than that of make run.`;

const MAKE_RUN = "nats://127.0.0.1:14222";
const NOT_A_MESSAGE = new Uint8Array([0xff]);

/** Puts the first event of a key into the stream of orders. Its payload is no OrderConfirmed. Resolves when it is stored. */
export async function publishStrayEvent(url: string, key: string): Promise<void> {
  const nats = openNats({ url, name: "stray", log: silentLog });
  try {
    const { connection } = await nats.online(AbortSignal.timeout(5_000));
    const id = newId();
    const headers = natsHeaders();
    const said = {
      "ce-specversion": "1.0",
      "ce-id": id,
      "ce-source": "/shop/stray",
      "ce-type": "shop.order.v1.OrderConfirmed",
      "ce-subject": key,
      "ce-time": new Date().toISOString(),
      "ce-datacontenttype": "application/protobuf",
      "ce-partitionkey": key,
      "ce-keyseq": "1",
      "ce-prevseq": "0",
      "ce-correlationid": id,
      "ce-causationid": id,
    };
    for (const [name, value] of Object.entries(said)) headers.set(name, value);
    await jetstream(connection).publish("evt.order.v1.p00.OrderConfirmed", NOT_A_MESSAGE, { headers });
  } finally {
    await nats.close();
  }
}

if (import.meta.main) {
  const [key] = process.argv.slice(2);
  if (key === undefined || !/^[\w-]{1,64}$/.test(key)) console.log(USAGE);
  else {
    await publishStrayEvent(process.env.NATS_URL || MAKE_RUN, key);
    console.log(`published an OrderConfirmed of the key ${key} that nobody can read`);
  }
}
