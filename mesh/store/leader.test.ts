import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Clock, systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { testDatabase } from "../testing/database.ts";
import { until } from "../testing/until.ts";
import { connect } from "./connect.ts";
import { leading } from "./leader.ts";

const { url: databaseUrl } = await testDatabase();
const sql = connect({ url: databaseUrl, name: "test" });
atEnd(() => sql.end());

// Tries all the time, so that a test need not wait for the next turn.
const eager: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 5), signal),
};

let roles = 0;
const newRole = () => `role-${++roles}`;

/** Somebody who wants to lead, and what became of that. */
function candidate(
  role: string,
  options: { url?: string; lead?: (signal: AbortSignal) => Promise<void> } = {},
) {
  const stopping = new AbortController();
  const signals: AbortSignal[] = [];
  const running = leading(
    { databaseUrl: options.url ?? databaseUrl, role, log: silentLog, clock: eager },
    stopping.signal,
    async (signal) => {
      signals.push(signal);
      if (options.lead) return options.lead(signal);
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    },
  );
  const stop = async () => {
    stopping.abort();
    await running;
  };
  atEnd(stop);
  return {
    stop,
    signals,
    leads: () => signals.some((signal) => !signal.aborted),
  };
}

const endSession = (role: string) =>
  sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${`leader ${role}`}`;
const sessions = async (role: string) =>
  (await sql`SELECT 1 FROM pg_stat_activity WHERE application_name = ${`leader ${role}`}`).length;

test("of several one leads; when it stops another does", async () => {
  const role = newRole();
  const all = [candidate(role), candidate(role), candidate(role)];
  const leaders = () => all.filter((each) => each.leads());
  await until(() => leaders().length > 0);
  const [first] = leaders();
  expect(leaders()).toEqual([first]);
  await first?.stop();
  expect(first?.leads()).toBe(false);
  await until(() => leaders().length > 0);
  expect(leaders()).toHaveLength(1);
  expect(leaders()[0]).not.toBe(first);
});

test("who stops leading is told by the signal, and lets its session go", async () => {
  const role = newRole();
  const only = candidate(role);
  await until(only.leads);
  await only.stop();
  expect(only.signals[0]?.aborted).toBe(true);
  await until(async () => (await sessions(role)) === 0);
});

test("who loses the session is told, and one of them leads again", async () => {
  const role = newRole();
  const all = [candidate(role), candidate(role)];
  await until(() => all.some((each) => each.leads()));
  const first = all.find((each) => each.leads());
  const [signal] = first?.signals ?? [];
  await endSession(role);
  await until(() => signal?.aborted);
  await until(() => all.some((each) => each.leads()));
});

test("roles are led by themselves", async () => {
  const [one, other] = [candidate(newRole()), candidate(newRole())];
  await until(() => one.leads() && other.leads());
});

test("a lead that ends, or throws, is taken up again", async () => {
  let turns = 0;
  const eventful = candidate(newRole(), {
    lead: async () => {
      if (++turns === 2) throw new Error("lost it");
    },
  });
  await until(() => turns >= 4);
  await eventful.stop();
  expect(turns).toBe(eventful.signals.length);
});

test("while the database is away nobody leads, and stopping still ends", async () => {
  const away = new URL(databaseUrl);
  away.port = "1";
  const candidates = candidate(newRole(), { url: away.href });
  await candidates.stop();
  expect(candidates.signals).toEqual([]);
});

/** The sockets of the server to the sessions of this name, as Linux shows them: which timer runs, and for how long. */
async function timersOf(name: string): Promise<{ kind: string; hundredths: number }[]> {
  const sessions = await sql<{ client: number; server: number }[]>`
    SELECT client_port AS client, inet_server_port() AS server FROM pg_stat_activity WHERE application_name = ${name}`;
  const sockets = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  return sessions.flatMap(({ client, server }) =>
    sockets
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", remote = ""]) => portOf(local) === server && portOf(remote) === client)
      .map(([, , , , , timer = ""]) => {
        const [kind = "", hundredths = ""] = timer.split(":");
        return { kind, hundredths: Number.parseInt(hundredths, 16) };
      }),
  );
}

const portOf = (address: string) => Number.parseInt(address.split(":")[1] ?? "", 16);
const KEEPALIVE = "02";

test.skipIf(process.platform !== "linux")(
  "the server asks the session of a leader every few seconds whether it is still there",
  async () => {
    const role = newRole();
    const only = candidate(role);
    await until(only.leads);
    // While something is on its way, another timer runs.
    const [timer] = await until(async () => {
      const timers = await timersOf(`leader ${role}`);
      return timers[0]?.kind === KEEPALIVE && timers;
    });
    expect(timer?.hundredths).toBeLessThanOrEqual(500);
  },
);
