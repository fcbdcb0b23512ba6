import { streamContract } from "../../mesh/contract/event.ts";
import { createLog } from "../../mesh/core/log.ts";
import { runUntilStopped } from "../../mesh/core/process.ts";
import { startRelay } from "../../mesh/events/relay.ts";
import { DEAD_LETTERS, eventStream } from "../../mesh/events/streams.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { connect } from "../../mesh/store/connect.ts";
import { contract } from "./contract.ts";
import { READY, readPlan } from "./plan.ts";
import { skewedClock } from "./skewed-clock.ts";

// Carries the outbox to the broker, as each service does, or as a control does that believes all that the broker says.
const { databaseUrl, natsUrl, audits, clockSkewMs } = readPlan();
const trustful = { audit: async () => ({ lost: 0, lastSeq: Number.MAX_SAFE_INTEGER }) };
await runUntilStopped("relay", async () => {
  const log = createLog({ service: "relay", instance: String(process.pid), level: "fatal" });
  const sql = connect({ url: databaseUrl, name: "chaos-relay", maxConnections: 4 });
  const nats = openNats({ url: natsUrl, name: "chaos-relay", log });
  const clock = skewedClock(clockSkewMs);
  const relays = [eventStream(streamContract(contract.Moved)), DEAD_LETTERS].map((stream) =>
    startRelay({ sql, databaseUrl, nats, stream, log, clock, ...(audits ? {} : trustful) }),
  );
  console.log(READY);
  return {
    async stop() {
      await Promise.all(relays.map((relay) => relay.stop()));
      await nats.close();
      await sql.end({ timeout: 1 });
    },
  };
});
