import { expect, test } from "vitest";
import { systemClock } from "../core/clock.ts";
import { newId } from "../core/ids.ts";
import { silentLog } from "../core/log.ts";
import { noMetrics } from "../telemetry/metrics.ts";
import { testBroker } from "../testing/broker.ts";
import { toyShop } from "../testing/toy-shop.ts";
import { publisherOf } from "./publish-rows.ts";
import { openPublisher } from "./publisher.ts";

await testBroker();

test("what the broker does not answer is sent once: to try again is for the relay, not for the client", async () => {
  const { sql, nats } = await toyShop();
  const online = await nats.online(AbortSignal.timeout(20_000));
  // Somebody listens and says nothing, as a broker that is too busy.
  let sent = 0;
  online.connection.subscribe("silence", { callback: () => void sent++ });
  const publisher = openPublisher(online);
  const options = { sql, publisher, stream: "SILENCE", publishTimeoutMs: 50, lastSeq: 0 };
  const publishRows = publisherOf({ ...options, log: silentLog, meter: noMetrics, clock: systemClock });
  const row = {
    id: 1,
    event_id: newId(),
    subject: "silence",
    key: null,
    key_seq: null,
    headers: {},
    payload: Buffer.from(""),
    created_at: new Date(0),
    attempts: 0,
    prev_seq: null,
  };
  await expect(publishRows([row])).rejects.toThrow(/timeout/i);
  await online.connection.flush();
  expect(sent).toBe(1);
});
