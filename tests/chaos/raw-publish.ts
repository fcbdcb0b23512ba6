import { DeliverPolicy, jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { systemClock } from "../../mesh/core/clock.ts";
import { newId } from "../../mesh/core/ids.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { raceSignal } from "../../mesh/core/race.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { random } from "../../mesh/testing/random.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { startKiller } from "./killer.ts";
import { openBroker, type Stage } from "./stage.ts";

const STREAM = "RAW";
const IN_FLIGHT = 64;
const TIMEOUT_MS = 5_000;
const RETRY_MS = 20;
const never = new AbortController().signal;

/** Publishes to JetStream without an outbox while the broker is killed, and compares what it acknowledged with what it has. */
export async function publishRawWhileKilling(stage: Stage): Promise<Figures> {
  const { profile, seed } = stage;
  const broker = await openBroker(stage);
  const nats = openNats({ url: broker.server.url, name: "chaos-raw", log: silentLog });
  const acked = new Set<string>();
  const killer = startKiller({ parts: [broker.part], random: random(seed), everyMs: profile.killEveryMs });
  try {
    const { connection } = await nats.online(never);
    await (await jetstreamManager(connection)).streams.add({
      name: STREAM,
      subjects: ["raw"],
      storage: StorageType.File,
      duplicate_window: nanos(600_000),
    });
    async function work(): Promise<void> {
      while (killer.kills < profile.kills) {
        const msgID = newId();
        while (!acked.has(msgID)) {
          const online = await nats.online(never);
          const published = jetstream(online.connection).publish("raw", "", { msgID, timeout: TIMEOUT_MS });
          await raceSignal(published, online.lost).then(
            () => acked.add(msgID),
            () => systemClock.sleep(RETRY_MS),
          );
        }
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
    await killer.stop();
    const stored = await storedIds((await nats.online(never)).connection);
    const distinct = new Set(stored);
    return {
      acked: acked.size,
      stored: stored.length,
      lost: [...acked].filter((id) => !distinct.has(id)).length,
      doubled: stored.length - distinct.size,
      kills: killer.kills,
    };
  } finally {
    await killer.stop();
    await nats.close();
    await broker.close();
  }
}

async function storedIds(connection: Parameters<typeof jetstream>[0]): Promise<string[]> {
  const { state } = await (await jetstreamManager(connection)).streams.info(STREAM);
  const ids: string[] = [];
  if (state.messages === 0) return ids;
  const consumer = await jetstream(connection).consumers.get(STREAM, { deliver_policy: DeliverPolicy.All });
  for await (const message of await consumer.consume()) {
    ids.push(message.headers?.get("Nats-Msg-Id") ?? "");
    if (message.info.pending === 0) break;
  }
  return ids;
}
