import {
  AckPolicy,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
  StorageType,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type NatsConnection, nanos } from "@nats-io/nats-core";
import { raceSignal } from "../core/race.ts";
import { inboxOf, type Online } from "../nats/connection.ts";
import { MAX_ENTRY_BYTES } from "./entry.ts";

const BUCKET = "weft_registry";
const STREAM = `KV_${BUCKET}`;
const MAX_BYTES = 8 * 2 ** 20;
const ANSWER_WITHIN_MS = 2_000;
/** After two of these without a word the watch is broken. */
const IDLE_HEARTBEAT_MS = 2_000;
/** How long the broker keeps a watch that nobody reads. */
const UNREAD_MS = 30_000;

/** The last word on a key. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  /** Undefined when it was deleted. */
  readonly value: Uint8Array | undefined;
}

/** Who is told what a watch sees. Must not throw. */
export interface Watcher {
  changed(change: Change): void;
  /** All that was there at the beginning has been told. Called once. */
  caughtUp(): void;
}

/**
 * The registry's bucket, made if it is not there. It lives in memory: what is in it is said again every two seconds,
 * so nothing is lost with it. One that is there keeps its limits, which may be an operator's.
 */
export async function openBucket(
  { connection, replicas }: Pick<Online, "connection" | "replicas">,
  signal: AbortSignal,
): Promise<KV> {
  const kvm = new Kvm(jetstream(connection, { timeout: ANSWER_WITHIN_MS }));
  const options = {
    description: "Weft: who serves what, where",
    history: 1,
    storage: StorageType.Memory,
    replicas,
    max_bytes: MAX_BYTES,
    // The limit counts the headers, too.
    maxValueSize: MAX_ENTRY_BYTES + 256,
  };
  return raceSignal(kvm.create(BUCKET, options), signal);
}

/** Has as many nodes keep the bucket as this connection asks for. More of them stay; one that is not there is made so. Rejects if they are not there. */
export async function growBucket(online: Online, signal: AbortSignal): Promise<void> {
  const { connection, replicas } = online;
  await openBucket(online, signal);
  const manager = await raceSignal(
    jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_WITHIN_MS }),
    signal,
  );
  const { config, cluster } = await raceSignal(manager.streams.info(STREAM), signal);
  // It would note the number, and keep the bucket once all the same.
  if (replicas > 1 && !cluster?.name)
    throw new Error(`the broker is no cluster: ${replicas} nodes are asked for`);
  if (config.num_replicas < replicas)
    await raceSignal(manager.streams.update(STREAM, { num_replicas: replicas }), signal);
}

/**
 * Tells the last value of each key that matches, then each change. Rejects when it could miss something: the signal
 * aborts, the bucket or the watch is gone, the broker is silent, or a change was left out.
 *
 * Not the client's own watch: that one notices after a minute that its bucket is gone, and then goes on in a new
 * bucket at the revision where it was in the old one, deaf to all that comes before.
 */
export async function watchBucket(
  connection: NatsConnection,
  keys: string,
  signal: AbortSignal,
  watcher: Watcher,
): Promise<never> {
  const manager = await raceSignal(
    jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_WITHIN_MS }),
    signal,
  );
  const deliverTo = { deliver_subject: inboxOf(connection), idle_heartbeat: nanos(IDLE_HEARTBEAT_MS) };
  const added = manager.consumers.add(STREAM, {
    ...deliverTo,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.LastPerSubject,
    filter_subject: subjectOf(keys),
    flow_control: true,
    inactive_threshold: nanos(UNREAD_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  const { name, num_pending } = await raceSignal(added, signal);
  const broken = Promise.withResolvers<never>();
  const fail = (why: string) => broken.reject(new Error(why));

  let delivered = 0;
  let isCaughtUp = false;
  const catchUp = () => {
    if (!isCaughtUp) watcher.caughtUp();
    isCaughtUp = true;
  };
  const read = (message: JsMsg) => {
    if (message.info.deliverySequence !== ++delivered) return fail("a change of the registry was left out");
    watcher.changed(changeOf(message));
    if (delivered >= num_pending) catchUp();
  };

  const consumer = await jetstream(connection).consumers.getBoundPushConsumer(deliverTo);
  const messages = await consumer.consume({ callback: read, abort_on_missing_resource: true });
  messages.closed().then((error) => fail(error ? error.message : "the watch of the registry ended"));
  follow().catch(broken.reject);
  if (num_pending === 0) catchUp();
  try {
    return await raceSignal(broken.promise, signal);
  } finally {
    messages.stop();
    manager.consumers.delete(STREAM, name).catch(() => {});
  }

  async function follow(): Promise<void> {
    for await (const { type } of messages.status()) {
      // Sent when there is nothing else to send: a key that was forgotten meanwhile is not waited for.
      if (type === "heartbeat") catchUp();
      if (type === "heartbeats_missed") fail("the registry is silent");
    }
  }
}

/** The last word on each key that matches, at most so many. */
export async function readBucket(
  connection: NatsConnection,
  keys: string,
  most: number,
  signal: AbortSignal,
): Promise<readonly Change[]> {
  const changes = new Map<string, Change>();
  const done = new AbortController();
  const watched = watchBucket(connection, keys, AbortSignal.any([signal, done.signal]), {
    changed(change) {
      if (changes.size < most || changes.has(change.key)) changes.set(change.key, change);
    },
    caughtUp: () => done.abort(),
  });
  return watched.catch((error) => {
    if (!done.signal.aborted) throw error;
    return [...changes.values()];
  });
}

/** Takes a key out of the bucket, its mark of deletion included, unless something newer than this was said of it. */
export async function forget(connection: NatsConnection, { key, revision }: Change): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_WITHIN_MS });
  await manager.streams.purge(STREAM, { filter: subjectOf(key), seq: revision + 1 });
}

/** Says that a key is gone, to whoever watches. */
export async function removeKey(connection: NatsConnection, key: string): Promise<void> {
  const kvm = new Kvm(jetstream(connection, { timeout: ANSWER_WITHIN_MS }));
  await (await kvm.open(BUCKET)).delete(key);
}

function changeOf({ subject, headers, data, seq }: JsMsg): Change {
  const isDeleted = headers?.has("KV-Operation") === true;
  return { key: subject.slice(subjectOf("").length), revision: seq, value: isDeleted ? undefined : data };
}

function subjectOf(key: string): string {
  return `$KV.${BUCKET}.${key}`;
}
