import type { DescService } from "@bufbuild/protobuf";
import { jetstreamManager } from "@nats-io/jetstream";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { subscriptionContract } from "../contract/event.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats } from "../nats/connection.ts";
import type { Queries, Sql } from "../store/connect.ts";
import { liveBuild } from "../store/live-build.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { beginWith } from "./gate.ts";
import { consumerName, type EventHandler, handlersByType, replayName } from "./handlers.ts";
import { isMissing, REPLAYS } from "./streams.ts";

/** Tables that a subscription fills and that can be filled anew. Each row belongs to a build; readers read those of `liveBuildIn`. */
export interface ReadModel {
  /** The handlers that write the rows of one build. */
  handlers(build: number): readonly EventHandler[];
  /** What the owner of the events knows of every key: the stream does not hold their beginnings for ever. */
  snapshot(signal: AbortSignal): AsyncIterable<KeySnapshot>;
  /** Deletes the rows of a build that is not read any more. */
  drop(tx: Tx, build: number): Promise<void>;
}

/** What all events of a key have come to. */
export interface KeySnapshot {
  readonly key: string;
  /** The number of the last event that is in it. */
  readonly version: number;
  /** Writes the rows of this key. */
  write(tx: Tx, build: number): Promise<void>;
}

/** What keeping a read model needs. */
export interface ReadModelOptions {
  readonly sql: Sql;
  readonly nats: Nats;
  readonly service: DescService;
  /** The subscription that feeds it: STRICT or LATEST. */
  readonly subscription: string;
  readonly model: ReadModel;
  /** Begins to consume for a build. `begins` says whether a key may be begun with what is left of it. */
  readonly consume: (build: number, handlers: readonly EventHandler[], begins: () => boolean) => Running;
  readonly log: Log;
  readonly clock?: Clock;
}

const POLL_MS = 500;
// Longer than another instance needs to see that a build is not in use any more.
const RETIRE_AFTER_MS = 2_000;
const TELL_EVERY_MS = 30_000;
const HOLD = { tries: 20, everyMs: 25, mostKeysBehind: 100 };

/**
 * Consumes for a read model, and builds it anew when its contract names a greater build than the one in use: a consumer of
 * its own reads the stream from the beginning, the owner tells of what the stream does not hold any more, and once the new
 * build has every event that the old one has, readers read the new one, from one moment to the next. Then the old one's
 * rows and consumer go. An instance whose contract is older than the build in use consumes nothing. Throws at once if the
 * subscription has no order, or if handlers and contract differ.
 */
export function followReadModel(options: ReadModelOptions): Running {
  const { sql, nats, service, subscription, model, log, clock = systemClock } = options;
  const contract = subscriptionContract(service, subscription);
  const { build: wanted, stream } = contract;
  const nameOf = (build: number) => consumerName(service, subscription, build);
  if (contract.ordering === Ordering.NONE)
    throw new Error(`${nameOf(1)}: without an order nobody can tell when a read model is complete`);
  handlersByType(contract, model.handlers(wanted));
  const stopping = new AbortController();
  const { signal } = stopping;
  const consumers = new Map<number, Running>();
  let live: number | undefined;
  let [isFilled, isTidy] = [false, false];
  let toldAtMs = Number.NEGATIVE_INFINITY;
  const running = run();

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await turn().catch((error) => {
        if (signal.aborted) return;
        log.warn({ subscription, error: messageOf(error) }, "a read model waits for its next turn");
      });
      await clock.sleep(POLL_MS, signal);
    }
    await Promise.all([...consumers.values()].map((consumer) => consumer.stop()));
  }

  async function turn(): Promise<void> {
    if (live === undefined)
      await sql`INSERT INTO read_model (subscription, live) VALUES (${subscription}, 1) ON CONFLICT DO NOTHING`;
    live = await liveBuild(sql, subscription);
    await consumeFor(live);
    // Whoever took the last build into use may have died before the old one was gone.
    if (!isTidy && live <= wanted) await retireBefore(live);
    isTidy = true;
    if (live < wanted) await build(live);
  }

  /** Consumes for the build in use and for the wanted one, and for no other. */
  async function consumeFor(inUse: number): Promise<void> {
    const needed = inUse > wanted ? [] : [...new Set([inUse, wanted])];
    for (const [build, consumer] of consumers) {
      if (needed.includes(build)) continue;
      consumers.delete(build);
      await consumer.stop();
    }
    for (const build of needed) {
      if (consumers.has(build)) continue;
      if (build > inUse) log.info({ consumer: nameOf(build) }, "builds a read model anew");
      consumers.set(
        build,
        options.consume(build, model.handlers(build), () => build === live),
      );
    }
  }

  async function build(old: number): Promise<void> {
    if (!isFilled) await fill();
    isFilled = true;
    const behind = await keysBehind(sql, nameOf(old), nameOf(wanted));
    if (behind.length > HOLD.mostKeysBehind || !(await takeIntoUse(old))) return tell(behind);
    log.info({ consumer: nameOf(wanted) }, "a read model's new build is in use");
    live = wanted;
    await consumeFor(wanted);
    await clock.sleep(RETIRE_AFTER_MS, signal);
    if (!signal.aborted) await retireBefore(wanted);
  }

  /** Takes over what the owner knows of the keys that the new build has not begun. */
  async function fill(): Promise<void> {
    for await (const { key, version, write } of model.snapshot(signal)) {
      signal.throwIfAborted();
      const place = { consumer: nameOf(wanted), stream, key, seq: version };
      await transaction(sql, async (tx) => {
        // Once it is begun, the stream has brought it from its first event on.
        if (await beginWith(tx, place)) await write(tx, wanted);
      });
    }
  }

  /** Lets readers read the wanted build, if it has all that the old one has. */
  function takeIntoUse(old: number): Promise<boolean> {
    return transaction(sql, async (tx) => {
      // The old one is held where it is, so that who has read an event's effect there finds it in the new one.
      await tx`SELECT count(*) FROM (
        SELECT 1 FROM inbox_cursor WHERE consumer = ${nameOf(old)} ORDER BY stream, key FOR UPDATE) AS held`;
      for (let tries = 0; tries < HOLD.tries && !signal.aborted; tries++) {
        if ((await keysBehind(tx, nameOf(old), nameOf(wanted))).length === 0) {
          const { count } = await tx`
            UPDATE read_model SET live = ${wanted} WHERE subscription = ${subscription} AND live = ${old}`;
          return count === 1;
        }
        await clock.sleep(HOLD.everyMs, signal);
      }
      return false;
    });
  }

  function tell(behind: readonly string[]): void {
    if (clock.now() < toldAtMs + TELL_EVERY_MS) return;
    toldAtMs = clock.now();
    const [key] = behind;
    log.info({ consumer: nameOf(wanted), keys: behind.length, key }, "a read model's new build is behind");
  }

  /** Removes what older builds have left: their consumers at the broker, their progress, their rows. */
  async function retireBefore(inUse: number): Promise<void> {
    if (inUse === 1) return;
    const { connection, lost } = await nats.online(signal);
    const manager = await raceSignal(jetstreamManager(connection, { checkAPI: false }), lost);
    const remove = (of: string, durable: string) =>
      raceSignal(manager.consumers.delete(of, durable), lost).catch((error) => {
        if (!isMissing(error)) throw error;
        return false;
      });
    for (let build = 1; build < inUse; build++) {
      const consumer = nameOf(build);
      const wasThere = await remove(stream, consumer);
      await remove(REPLAYS.name, replayName(consumer));
      await transaction(sql, async (tx) => {
        for (const table of ["inbox_cursor", "inbox", "inbox_failure"])
          await tx`DELETE FROM ${tx(table)} WHERE consumer = ${consumer}`;
        await model.drop(tx, build);
      });
      if (wasThere) log.info({ consumer }, "a read model's old build is gone");
    }
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Keys of which one consumer has had more than another one, 1,000 at most. */
async function keysBehind(sql: Queries, old: string, next: string): Promise<string[]> {
  const rows = await sql<{ key: string }[]>`
    SELECT o.key FROM inbox_cursor o
    LEFT JOIN inbox_cursor n ON n.consumer = ${next} AND n.stream = o.stream AND n.key = o.key
    WHERE o.consumer = ${old} AND coalesce(n.last_seq, 0) < o.last_seq LIMIT 1000`;
  return rows.map(({ key }) => key);
}
