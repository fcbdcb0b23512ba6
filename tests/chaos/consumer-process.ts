import { PermanentError } from "../../mesh/core/errors.ts";
import { createLog } from "../../mesh/core/log.ts";
import { runUntilStopped } from "../../mesh/core/process.ts";
import { consume } from "../../mesh/events/consume.ts";
import { on } from "../../mesh/events/handlers.ts";
import type { AskResend } from "../../mesh/events/lost-history.ts";
import { resend } from "../../mesh/events/resend.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { connect } from "../../mesh/store/connect.ts";
import { type Tx, transaction } from "../../mesh/store/transaction.ts";
import { contract } from "./contract.ts";
import { consumeNaively } from "./naive-consumer.ts";
import { recordEffect } from "./oracle.ts";
import { POISON, READY, readPlan } from "./plan.ts";
import { skewedClock } from "./skewed-clock.ts";

// Handles the events, as each service does, or as a control does without the gate.
const plan = readPlan();
const CONCURRENCY = 8;

async function handle(
  tx: Tx,
  event: { readonly toyId: string; readonly n: number; readonly text: string },
  { eventId, attempt }: { readonly eventId: string; readonly attempt: number },
): Promise<void> {
  await recordEffect(tx, { key: event.toyId, seq: event.n, eventId, attempt });
  if (plan.isMended) return;
  if (event.text === POISON.deadly) process.kill(process.pid, "SIGKILL");
  if (event.text === POISON.permanent) throw new PermanentError("refused for good");
  if (event.text === POISON.transient && attempt <= 3) throw new Error("not now");
}

await runUntilStopped("consumer", async () => {
  const log = createLog({ service: "consumer", instance: String(process.pid), level: "fatal" });
  const sql = connect({ url: plan.databaseUrl, name: "chaos-consumer", maxConnections: CONCURRENCY + 2 });
  const nats = openNats({ url: plan.natsUrl, name: "chaos-consumer", log });
  const common = { sql, nats, concurrency: CONCURRENCY, ackWaitMs: plan.ackWaitMs, log };
  const askOwner: AskResend = async (lost) =>
    (await transaction(sql, (tx) => resend(tx, lost))) !== undefined;
  const running =
    plan.guard === "gate"
      ? consume({
          ...common,
          service: contract.service,
          subscription: contract.subscription,
          handlers: [on(contract.Moved, handle)],
          retryDelaysMs: plan.retryDelaysMs,
          batch: plan.batch,
          ...(plan.resends && { resend: askOwner }),
          clock: skewedClock(plan.clockSkewMs),
        })
      : consumeNaively({ ...common, hasInbox: plan.guard === "inbox", handle });
  console.log(READY);
  return {
    async stop() {
      await running.stop();
      await nats.close();
      await sql.end({ timeout: 1 });
    },
  };
});
