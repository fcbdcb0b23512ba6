import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { DEAD_LETTERS } from "../../mesh/events/streams.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { connect, type Sql } from "../../mesh/store/connect.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { provision } from "../../mesh/store/provision.ts";
import { random } from "../../mesh/testing/random.ts";
import { startNats } from "../../tools/local/nats-server.ts";
import type { OwnServer } from "../../tools/local/own-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { startPostgres } from "../../tools/local/postgres.ts";
import { killEverything } from "../../tools/local/supervise.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { contract } from "./contract.ts";
import { startKiller } from "./killer.ts";
import { createOracle, verdict } from "./oracle.ts";
import { type Part, serverPart, startProcess } from "./parts.ts";
import type { Plan } from "./plan.ts";
import { type Production, produce, TASKS } from "./producers.ts";

/** How much is done, and how fast. */
export interface Profile {
  readonly orders: number;
  readonly ordersPerSecond: number;
  /** How many kills there are at least: it is produced for as long. */
  readonly kills: number;
  readonly killEveryMs: { readonly least: number; readonly most: number };
  /** The time scale of all that waits: how long the broker waits for an answer. Milliseconds. */
  readonly ackWaitMs: number;
  /** How long the database is away. Milliseconds. */
  readonly outageMs: number;
  /** How long a process is stopped that then goes on: longer than the broker waits. Milliseconds. */
  readonly pauseMs: number;
}

/** As many events and kills as show something, with waits cut short. */
export const SHORT: Profile = {
  orders: 320,
  ordersPerSecond: 80,
  kills: 6,
  killEveryMs: { least: 300, most: 800 },
  ackWaitMs: 1_500,
  outageMs: 5_000,
  pauseMs: 3_000,
};

/** What is claimed. */
export const FULL: Profile = {
  orders: 10_000,
  ordersPerSecond: 200,
  kills: 20,
  killEveryMs: { least: 500, most: 1_200 },
  ackWaitMs: 5_000,
  outageMs: 30_000,
  pauseMs: 20_000,
};

/** Where trials take place: servers of their own, which they may kill. */
export interface Stage {
  readonly profile: Profile;
  /** Chooses what is killed. */
  readonly seed: number;
  /** What happens, for people. */
  readonly say: (what: string) => void;
  readonly natsServer: string;
  readonly dir: string;
  readonly postgres: OwnServer;
  close(): Promise<void>;
}

/** What a stage is set up with. */
export interface StageOptions {
  readonly profile: Profile;
  readonly seed: number;
  readonly natsServer: string;
  readonly say?: (what: string) => void;
}

/**
 * Starts PostgreSQL. Each trial then gets a database and a broker of its own. If this process exits before `close`,
 * nothing is left of them.
 */
export async function openStage({ profile, seed, natsServer, say = () => {} }: StageOptions): Promise<Stage> {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), "weft-chaos-"));
  // PostgreSQL may have to run as another user than we.
  chmodSync(dir, 0o755);
  const remove = () => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  const removeAtExit = () => {
    killEverything();
    remove();
  };
  process.once("exit", removeAtExit);
  const postgres = await startPostgres({
    homeDir: join(dir, "postgres"),
    port: await freePort(),
    log: () => {},
  });
  return {
    profile,
    seed,
    say,
    natsServer,
    dir,
    postgres,
    async close() {
      await postgres.stop();
      remove();
      process.off("exit", removeAtExit);
    },
  };
}

/** A broker of a trial's own. */
export async function openBroker({ dir, natsServer }: Stage) {
  const dataDir = mkdtempSync(join(dir, "nats-"));
  const server = await startNats({ binary: natsServer, dataDir, port: await freePort(), log: () => {} });
  return {
    server,
    part: serverPart("broker", server),
    /** What JetStream keeps. */
    storeDir: join(dataDir, "jetstream"),
    async close() {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Two relays and two consumers, of which one handles events in batches, on a database and a broker. */
export interface System extends AsyncDisposable {
  readonly sql: Sql;
  readonly natsUrl: string;
  readonly broker: Part;
  readonly brokerStoreDir: string;
  readonly postgres: Part;
  readonly relays: readonly Part[];
  readonly consumers: readonly Part[];
  /** Changes what processes are to do, from their next start. */
  change(plan: Partial<Plan>): void;
  /** Produces as {@link produce}, and on until there were enough kills, while these are killed at random. */
  produceWhileKilling(parts: readonly Part[], more?: Partial<Production> & { kills?: number }): Promise<void>;
  /** Produces new orders: as many as the profile says, or others. */
  produce(more?: Partial<Production>): Promise<void>;
  /** Resolves with the seconds until nothing waits or is missing any more; Infinity if nothing has moved for `stillMs`. */
  untilQuiet(stillMs?: number): Promise<number>;
  /** Resolves when the broker has all that was produced. */
  untilPublished(): Promise<void>;
  /** Asks the broker, as soon as it answers. */
  manager(): Promise<JetStreamManager>;
  /** What came of it. */
  verdict(): Promise<Figures>;
}

const QUIET_POLL_MS = 100;
const DELIVERIES_POLL_MS = 500;
const BATCH = 16;
// Nothing in it waits so long; a busy machine may.
const STILL_MS = 45_000;
const REQUEST_WITHIN_MS = 5_000;
const never = new AbortController().signal;

/** Starts all that events need. */
export async function openSystem(stage: Stage, changed: Partial<Plan> = {}): Promise<System> {
  const { profile } = stage;
  await using undo = new AsyncDisposableStack();
  const broker = await openBroker(stage);
  undo.defer(() => broker.close());
  const name = `chaos_${randomBytes(6).toString("hex")}`;
  const databaseUrl = await provision(stage.postgres.url, {
    name,
    password: randomBytes(12).toString("hex"),
  });
  const sql = connect({ url: databaseUrl, name: "chaos", maxConnections: TASKS + 2 });
  undo.defer(() => sql.end({ timeout: 1 }));
  const set = (room: string) => ({
    set: `mesh/${room}`,
    folder: new URL(`../../mesh/${room}/migrations/`, import.meta.url),
  });
  await migrate(sql, [set("store"), set("events")], silentLog);
  await createOracle(sql);

  let plan: Plan = {
    databaseUrl,
    natsUrl: broker.server.url,
    audits: true,
    guard: "gate",
    resends: false,
    batch: 1,
    ackWaitMs: profile.ackWaitMs,
    retryDelaysMs: [100, 200, 400],
    clockSkewMs: 0,
    isMended: false,
    ...changed,
  };
  const start = (program: "relay" | "consumer", n: number, batch = plan.batch) => {
    const part = startProcess(program, `${program} ${n}`, () => ({
      ...plan,
      batch,
      // If their clocks are wrong, then each in its own way.
      clockSkewMs: n === 1 ? plan.clockSkewMs : -plan.clockSkewMs,
    }));
    undo.defer(() => part.end());
    return part;
  };
  const relays = [start("relay", 1), start("relay", 2)];
  const consumers = [start("consumer", 1), start("consumer", 2, BATCH)];
  const nats = openNats({ url: broker.server.url, name: "chaos", log: silentLog });
  undo.defer(() => nats.close());

  const manager = async () => {
    const { connection } = await nats.online(never);
    return jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_WITHIN_MS });
  };
  const consumerInfo = async () =>
    (await manager()).consumers.info(contract.stream, contract.consumer).catch(() => undefined);

  // The broker forgets when it is wiped; so its count is followed.
  let delivered = 0;
  let deliveredBefore = 0;
  const counting = new AbortController();
  async function countDeliveries(): Promise<void> {
    const info = await consumerInfo();
    if (!info) return;
    const count = info.delivered.consumer_seq;
    delivered += Math.max(count - deliveredBefore, 0);
    deliveredBefore = count;
  }
  const counted = (async () => {
    while (!counting.signal.aborted) {
      await countDeliveries();
      await systemClock.sleep(DELIVERIES_POLL_MS, counting.signal);
    }
  })();
  undo.defer(async () => {
    counting.abort();
    await counted;
  });

  /** Dead letters that nobody has replayed. */
  async function lettersLeft(): Promise<number> {
    const { streams } = await manager();
    const info = await streams.info(DEAD_LETTERS.name).catch(() => undefined);
    return info?.state.messages ?? 0;
  }

  /** What still waits, and what has been done: undefined if that cannot be told now. */
  async function progress(): Promise<{ waiting: number; effects: number } | undefined> {
    const info = await consumerInfo();
    const [row] = await sql<{ pending: number; effects: number }[]>`
      SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL AND failed_at IS NULL) AS pending,
             (SELECT count(*) FROM effect) AS effects`.catch(() => []);
    return (
      info && row && { effects: row.effects, waiting: row.pending + info.num_pending + info.num_ack_pending }
    );
  }

  /** How much was neither handled nor is a dead letter: undefined if that cannot be told now. */
  async function missing(): Promise<number | undefined> {
    const letters = await lettersLeft();
    const [row] = await sql<{ missing: number }[]>`
      SELECT (SELECT count(*) FROM produced) - (SELECT count(DISTINCT (key, seq)) FROM effect)
               - ${letters}::int AS missing`.catch(() => []);
    return row?.missing;
  }

  // So that nothing is measured of how processes begin.
  while (!(await consumerInfo())) await systemClock.sleep(QUIET_POLL_MS);

  let kills = 0;
  const parts = [...relays, ...consumers];
  let orders = 0;
  async function production(more: Partial<Production>): Promise<void> {
    orders += await produce(sql, { ...profile, first: orders, ...more });
  }
  const owned = undo.move();
  return {
    sql,
    natsUrl: broker.server.url,
    broker: broker.part,
    brokerStoreDir: broker.storeDir,
    postgres: serverPart("PostgreSQL", stage.postgres),
    relays,
    consumers,
    change(changes) {
      plan = { ...plan, ...changes };
    },
    produce: (more = {}) => production(more),
    async produceWhileKilling(targets, { kills: least = profile.kills, ...more } = {}) {
      const killer = startKiller({
        parts: targets,
        random: random(stage.seed),
        everyMs: profile.killEveryMs,
      });
      try {
        await production({ goesOn: () => killer.kills < least, ...more });
      } finally {
        await killer.stop();
        kills += killer.kills;
      }
    },
    async untilQuiet(stillMs = STILL_MS) {
      const begunAtMs = systemClock.now();
      let movedAtMs = begunAtMs;
      let before = -1;
      for (;;) {
        const now = await progress();
        const nowMs = systemClock.now();
        if (now?.waiting === 0 && ((await missing()) ?? 1) <= 0) return (nowMs - begunAtMs) / 1_000;
        if (now && now.effects !== before) {
          before = now.effects;
          movedAtMs = nowMs;
        }
        if (nowMs - movedAtMs > stillMs) return Number.POSITIVE_INFINITY;
        await systemClock.sleep(QUIET_POLL_MS);
      }
    },
    async untilPublished() {
      const pending = () =>
        sql`SELECT 1 FROM outbox WHERE published_at IS NULL AND failed_at IS NULL LIMIT 1`;
      while ((await pending()).length > 0) await systemClock.sleep(QUIET_POLL_MS);
    },
    manager,
    async verdict() {
      await countDeliveries();
      const figures = await verdict(sql);
      const { effects = 0, events = 0, ...rest } = figures;
      const crashes = parts.reduce((sum, part) => sum + part.crashes, 0);
      for (const part of parts.filter((part) => part.crashes > 0))
        stage.say(`${part.name} ended by itself; ${part.lastLines.at(-1) ?? "it said nothing"}`);
      return {
        events,
        delivered,
        "without effect": Math.max(delivered - effects, 0),
        ...rest,
        kills,
        crashes,
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
