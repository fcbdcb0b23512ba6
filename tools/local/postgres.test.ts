import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import connect from "postgres";
import { expect, onTestFinished, test, vi } from "vitest";
import { freePort } from "./ports.ts";
import { resetPostgres, startPostgres } from "./postgres.ts";
import { findPostgresPackage } from "./postgres-files.ts";
import { barredAt, postgresUser } from "./postgres-home.ts";
import { isRunning, stopProcess } from "./processes.ts";
import { tempDir } from "./temp-dir.ts";

// They unpack and start a real server, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const isRoot = process.getuid?.() === 0;

async function start({ homeDir = join(tempDir(), "home"), port = 0 } = {}) {
  const said: string[] = [];
  const server = await startPostgres({
    homeDir,
    port: port || (await freePort()),
    log: (line) => said.push(line),
  });
  onTestFinished(() => server.stop(0));
  return { server, homeDir, said, dataDir: join(homeDir, "data") };
}

async function ask(url: string, query: string): Promise<unknown> {
  const sql = connect(url, { max: 1, onnotice: () => {} });
  try {
    const [row] = await sql.unsafe(query).values();
    return row?.[0];
  } finally {
    await sql.end();
  }
}

test("it serves SQL on 127.0.0.1 only, durably, with UTF-8 and room for connections", async () => {
  const { server } = await start();
  const settings = [
    "listen_addresses",
    "unix_socket_directories",
    "fsync",
    "max_connections",
    "server_encoding",
  ];
  const values = await Promise.all(settings.map((name) => ask(server.url, `show ${name}`)));
  expect(values).toEqual(["127.0.0.1", "", "on", "200", "UTF8"]);
  expect(await ask(server.url, "select lower('ÄÖ')")).toBe("äö");
  expect(await ask(server.url, "select bool_and(auth_method = 'scram-sha-256') from pg_hba_file_rules")).toBe(
    true,
  );
});

test("a wrong password is refused, and only the owner can read the right one", async () => {
  const { server, homeDir } = await start();
  await expect(ask(server.url.replace(/:[0-9a-f]{48}@/, ":wrong@"), "select 1")).rejects.toThrow(/password/);
  expect(statSync(join(homeDir, "password")).mode & 0o777).toBe(0o600);
});

test("data outlives a stop, and nothing runs in between", async () => {
  const { server, homeDir } = await start();
  const pid = server.pid as number;
  await ask(server.url, "create table kept (n int)");
  await server.stop();
  await server.stop();
  expect(isRunning(pid)).toBe(false);
  expect(existsSync(join(homeDir, "data/postmaster.pid"))).toBe(false);
  const { server: again, said } = await start({ homeDir });
  expect(await ask(again.url, "select count(*)::int from kept")).toBe(0);
  expect(said).toEqual([]);
});

test("killed with open connections it comes back by itself, with all that was committed", async () => {
  const { server, said } = await start();
  const sql = connect(server.url, { max: 3, onnotice: () => {} });
  await sql`create table kept (n int)`;
  await Promise.all([1, 2, 3].map((n) => sql`insert into kept values (${n})`));
  const killed = server.pid;
  server.kill("SIGKILL");
  await vi.waitFor(async () => expect(await ask(server.url, "select count(*)::int from kept")).toBe(3), {
    timeout: 15_000,
    interval: 50,
  });
  await sql.end({ timeout: 0 });
  expect(server.pid).not.toBe(killed);
  expect(said).toContain("PostgreSQL died (SIGKILL), starts again at once");
});

test("what a killed run left running is stopped first, and its data is kept", async () => {
  const homeDir = join(tempDir(), "home");
  const port = await freePort();
  const script = join(tempDir(), "run.ts");
  writeFileSync(
    script,
    `import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "postgres.ts"))};
     const { pid } = await startPostgres({ homeDir: ${JSON.stringify(homeDir)}, port: ${port}, log() {} });
     console.log("pid", pid);`,
  );
  const run = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const leftOver = Number(/pid (\d+)/.exec(String((await once(run.stdout, "data"))[0]))?.[1]);
  onTestFinished(() => stopProcess(leftOver, ["SIGQUIT"], 1000));
  run.kill("SIGKILL");
  await once(run, "close");
  expect(isRunning(leftOver)).toBe(true);

  const { server, said } = await start({ homeDir, port });
  expect(isRunning(leftOver)).toBe(false);
  expect(said).toEqual([`PostgreSQL: stopping process ${leftOver}, left behind by an earlier run`]);
  expect(await ask(server.url, "select 1")).toBe(1);
});

test("a stale pid file is no obstacle, even if its id now belongs to another process", async () => {
  const { server, homeDir, dataDir } = await start();
  await server.stop();
  const pidFile = join(dataDir, "postmaster.pid");
  writeFileSync(pidFile, `${process.pid}\n${dataDir}\n`);
  const { server: again } = await start({ homeDir });
  expect(await ask(again.url, "select 1")).toBe(1);
  expect(readFileSync(pidFile, "utf8").split("\n")[0]).toBe(String(again.pid));
});

test("unpacking and making the data folder are done again if they were cut short", async () => {
  const homeDir = join(tempDir(), "home");
  mkdirSync(join(homeDir, "data.partial/base"), { recursive: true });
  mkdirSync(join(homeDir, `postgres-${findPostgresPackage().version}.partial/bin`), { recursive: true });
  mkdirSync(join(homeDir, "postgres-17.0.0"));
  writeFileSync(join(homeDir, "password.partial"), "old");
  const { server } = await start({ homeDir });
  expect(await ask(server.url, "select 1")).toBe(1);
  for (const name of ["data.partial", "postgres-17.0.0", "password.partial"]) {
    expect(existsSync(join(homeDir, name))).toBe(false);
  }
});

test("a taken port is told with its holder, before anything is started", async () => {
  const port = await freePort();
  const holder = createServer().listen(port, "127.0.0.1");
  await once(holder, "listening");
  onTestFinished(() => void holder.close());
  await expect(start({ port })).rejects.toThrow(
    new RegExp(`port ${port} \\(PostgreSQL\\) is taken by process ${process.pid} .*DATABASE_URL`),
  );
});

test("a server that cannot start is quoted, and leaves no process", async () => {
  const { server, homeDir, dataDir } = await start();
  await server.stop();
  appendFileSync(join(dataDir, "postgresql.conf"), "no_such_setting = 1\n");
  await expect(start({ homeDir })).rejects.toThrow(/does not stay up[\s\S]*no_such_setting/);
  expect(existsSync(join(dataDir, "postmaster.pid"))).toBe(false);
});

test("a password that the server does not take is told as such", async () => {
  const { server, homeDir } = await start();
  await server.stop();
  writeFileSync(join(homeDir, "password"), "another\n");
  await expect(start({ homeDir })).rejects.toThrow(/does not take the password[\s\S]*make reset/);
});

test("data of another major version is refused with advice", async () => {
  const { server, homeDir, dataDir } = await start();
  await server.stop();
  writeFileSync(join(dataDir, "PG_VERSION"), "17\n");
  await expect(start({ homeDir })).rejects.toThrow(/written by PostgreSQL 17, and this is 18.*make reset/);
});

test("a reset forgets everything of ours, and nothing else", async () => {
  const { server, homeDir } = await start();
  await server.stop();
  writeFileSync(join(homeDir, "notes.txt"), "mine");
  await resetPostgres(homeDir, () => {});
  expect(execFileSync("ls", ["-A", homeDir], { encoding: "utf8" })).toBe("notes.txt\n");
  await resetPostgres(join(homeDir, "nowhere"), () => {});
});

test("a start that was given up leaves nothing running", async () => {
  const homeDir = join(tempDir(), "home");
  const start = startPostgres({ homeDir, port: await freePort(), log() {}, signal: AbortSignal.abort() });
  await expect(start).rejects.toThrow(/abort/);
});

test.runIf(isRoot)("as root it runs as nobody, who owns the data and nothing else", async () => {
  const { server, homeDir, dataDir } = await start();
  const { uid } = postgresUser() as { uid: number };
  expect(statSync(`/proc/${server.pid}`).uid).toBe(uid);
  expect(statSync(dataDir).uid).toBe(uid);
  expect(
    [homeDir, join(homeDir, "password"), join(homeDir, "server.log")].map((path) => statSync(path).uid),
  ).toEqual([0, 0, 0]);
});

test.runIf(isRoot)("as root a home that nobody can enter is refused with the folder's name", async () => {
  const dir = tempDir();
  chmodSync(dir, 0o700);
  await expect(start({ homeDir: join(dir, "home") })).rejects.toThrow(`user nobody cannot enter ${dir}`);
});

// A plain user cannot read a checkout that only its owner can enter.
test.runIf(isRoot && barredAt(import.meta.dirname) === undefined)(
  "it works for a plain user too",
  async () => {
    const dir = tempDir();
    const { uid, gid } = postgresUser() as { uid: number; gid: number };
    chownSync(dir, uid, gid);
    const homeDir = join(dir, "home");
    const script = join(dir, "run.ts");
    writeFileSync(
      script,
      `import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "postgres.ts"))};
     const server = await startPostgres({ homeDir: ${JSON.stringify(homeDir)}, port: ${await freePort()}, log() {} });
     await server.stop();
     console.log("done");`,
    );
    const printed = execFileSync(process.execPath, [script], { uid, gid, cwd: dir, encoding: "utf8" });
    expect(printed).toBe("done\n");
  },
);
