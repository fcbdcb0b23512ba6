import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Stage, System } from "./stage.ts";

/** What becomes of the broker's disk. */
export type Loss =
  /** All is gone. */
  | "wiped"
  /** All is as it was some time ago. */
  | "rolled back"
  /** The messages are as they were some time ago, and the consumers are ahead of them. */
  | "messages rolled back";

/**
 * Has the broker lose what it had acknowledged, after relays and consumers were killed and before they are again. Some
 * of what it loses has been handled, some not.
 */
export async function loseAtBroker({ dir, profile }: Stage, system: System, loss: Loss): Promise<void> {
  const { broker, brokerStoreDir, relays, consumers } = system;
  const part = { orders: Math.ceil(profile.orders / 4) };
  const kills = Math.ceil(profile.kills / 4);
  await system.produceWhileKilling([...relays, ...consumers], { ...part, kills });
  await system.untilPublished();

  const snapshotDir = await mkdtemp(join(dir, "snapshot-"));
  await broker.halt();
  await cp(brokerStoreDir, snapshotDir, { recursive: true });
  await broker.start();

  await system.produce(part);
  await Promise.all(consumers.map((consumer) => consumer.halt()));
  await system.produce(part);
  await system.untilPublished();

  await broker.halt();
  if (loss === "messages rolled back") await restoreMessages(snapshotDir, brokerStoreDir);
  else await rm(brokerStoreDir, { recursive: true });
  if (loss === "rolled back") await cp(snapshotDir, brokerStoreDir, { recursive: true });
  await rm(snapshotDir, { recursive: true });
  await broker.start();
  await Promise.all(consumers.map((consumer) => consumer.start()));

  await system.produceWhileKilling([...relays, ...consumers], { ...part, kills });
}

async function restoreMessages(from: string, to: string): Promise<void> {
  const streams = join("$G", "streams");
  for (const stream of await readdir(join(from, streams))) {
    const messages = join(streams, stream, "msgs");
    await rm(join(to, messages), { recursive: true, force: true });
    await cp(join(from, messages), join(to, messages), { recursive: true });
  }
}
