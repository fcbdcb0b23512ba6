import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { findOnPath } from "../../tools/local/executables.ts";
import { startNats } from "../../tools/local/nats-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { TEST_BROKER_PREFIX, testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { natsAccount } from "../testing/nats-account.ts";
import { until } from "../testing/until.ts";
import { type Nats, type NatsOptions, openNats } from "./connection.ts";

const broker = await testBroker();
const never = new AbortController().signal;

function open(url = broker.url, log = silentLog, more: Partial<NatsOptions> = {}): Nats {
  const nats = openNats({ url, name: "test", log, ...more });
  atEnd(() => nats.close());
  return nats;
}

/** True once the promise is settled, without waiting for it. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol();
  const first = await Promise.race([
    promise.catch(() => {}),
    new Promise((resolve) => setImmediate(resolve, open)),
  ]);
  return first !== open;
}

test("a connection stands as soon as the broker is there, and all who wait get the same one", async () => {
  const nats = open();
  const [one, other] = await Promise.all([nats.online(never), nats.online(never)]);
  expect(one).toBe(other);
  expect(await nats.online(never)).toBe(one);
  expect(one.lost.aborted).toBe(false);
  await one.connection.flush();
});

test("of several servers one that is there will do", async () => {
  const { host } = new URL(broker.url);
  const nats = open(`nats://127.0.0.1:${await freePort()},nats://${host}`);
  const { connection } = await nats.online(never);
  expect(connection.getServer()).toBe(host);
});

test("a broker that is away at the start is waited for, which is said once", async () => {
  await broker.stop();
  const { log, lines } = recordingLog();
  const nats = open(broker.url, log);
  const online = nats.online(never);
  // Twice refused at least, at 250 ms between dials.
  await until(() => lines.length > 0);
  expect(await isSettled(online)).toBe(false);
  await broker.start();
  await (await online).connection.flush();
  expect(lines.map(({ msg }) => msg)).toEqual(["NATS is away; waiting for it"]);
});

test("when the broker goes, the connection is lost; when it is back, there is a new one", async () => {
  const nats = open();
  const first = await nats.online(never);
  const lost = new Promise((resolve) => first.lost.addEventListener("abort", resolve));
  await broker.stop();
  await lost;
  const next = nats.online(never);
  expect(await isSettled(next)).toBe(false);
  await broker.start();
  const second = await next;
  expect(second).not.toBe(first);
  expect(first.lost.aborted).toBe(true);
  expect(second.lost.aborted).toBe(false);
  await second.connection.flush();
});

test("a broker that is killed is noticed like one that stops", async () => {
  const nats = open();
  const first = await nats.online(never);
  broker.kill("SIGKILL");
  await until(() => first.lost.aborted);
  const second = await nats.online(never);
  await second.connection.flush();
});

test("a broker that begins to count its clients anew has a new connection all the same", async () => {
  // As much of a broker as it takes to be connected to. Every client of it is its first, as after its disk was wiped.
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      for (const _ of String(data).matchAll(/PING\r\n/g)) socket.write("PONG\r\n");
    });
    socket.write(
      'INFO {"server_id":"S","version":"2.9.10","proto":1,"headers":true,"max_payload":1024,"client_id":1}\r\n',
    );
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  atEnd(async () => void server.close());
  const nats = open(`nats://127.0.0.1:${port}`);
  const first = await nats.online(never);
  const firstId = first.connection.info?.client_id;
  for (const socket of sockets) socket.destroy();
  await until(() => first.lost.aborted);
  const second = await nats.online(never);
  expect([firstId, second.connection.info?.client_id]).toEqual([1, 1]);
  expect(second).not.toBe(first);
  expect(second.lost.aborted).toBe(false);
});

test("who waits for a connection can give up, for the reason that it has", async () => {
  const nats = open("nats://127.0.0.1:1");
  const giveUp = new AbortController();
  const online = nats.online(giveUp.signal);
  giveUp.abort(new Error("no time"));
  await expect(online).rejects.toThrow("no time");
  await expect(nats.online(giveUp.signal)).rejects.toThrow("no time");
});

test("what was published before the connection was closed has left", async () => {
  const [sender, receiver] = [open(), open()];
  const { connection } = await receiver.online(never);
  const received = connection.subscribe("parting", { max: 50 });
  await connection.flush();
  const online = await sender.online(never);
  for (let n = 0; n < 50; n++) online.connection.publish("parting", String(n));
  await sender.close();
  let last = "";
  for await (const message of received) last = message.string();
  expect(last).toBe("49");
});

test("so has more than the network takes at once", async () => {
  const [sender, receiver] = [open(), open()];
  const { connection } = await receiver.online(never);
  let received = 0;
  connection.subscribe("parting.many", { callback: () => void received++ });
  await connection.flush();
  const online = await sender.online(never);
  const payload = new Uint8Array(200_000);
  for (let n = 0; n < 100; n++) online.connection.publish("parting.many", payload);
  // It waits for a second only, in which a slow machine may not take so much.
  const bound = vi.spyOn(AbortSignal, "timeout").mockReturnValue(never);
  onTestFinished(() => bound.mockRestore());
  await sender.close();
  // The broker has all of it by now, and sends it before its answer.
  await connection.flush();
  expect(received).toBe(100);
});

test("closing does not wait for a broker that does not answer", async () => {
  const nats = open();
  const { connection } = await nats.online(never);
  broker.kill("SIGSTOP");
  try {
    await nats.close();
  } finally {
    broker.kill("SIGCONT");
  }
  expect(connection.isClosed()).toBe(true);
});

test("closing ends it, whatever it is doing: standing, dialling, waiting, or closed", async () => {
  const standing = open();
  const { connection, lost } = await standing.online(never);
  await standing.close();
  expect(connection.isClosed()).toBe(true);
  expect(lost.aborted).toBe(true);
  await standing.close();

  await open().close();

  const waiting = open("nats://127.0.0.1:1");
  await waiting.close();
});

test("closing ends it while the broker is away", async () => {
  const nats = open();
  const { lost } = await nats.online(never);
  await broker.stop();
  await until(() => lost.aborted);
  await nats.close();
  await broker.start();
});

test("closing while it dials leaves no connection behind", async () => {
  const watcher = open();
  await watcher.online(never);
  for (let turns = 0; turns < 30; turns++) {
    const nats = open();
    // Each time a little later in the dialling.
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    const online = nats.online(AbortSignal.timeout(20_000)).catch(() => undefined);
    await nats.close();
    const reached = (await isSettled(online)) ? await online : undefined;
    expect(reached?.connection.isClosed() ?? true).toBe(true);
  }
});

test.each([
  ["a user and a password", ["--user", "us@er", "--pass", "p:ss"], "us%40er:p%3Ass@"],
  ["a token", ["--auth", "t%ken"], "t%25ken@"],
])("a broker that asks for %s is shown what the URL says", async (_, flags, shown) => {
  const port = await freePort();
  const child = spawn(inject("natsServer"), ["--addr", "127.0.0.1", "--port", String(port), ...flags], {
    stdio: "ignore",
  });
  atEnd(async () => {
    child.kill("SIGKILL");
  });
  const { connection } = await open(`nats://${shown}127.0.0.1:${port}`).online(never);
  await connection.flush();
});

/** Starts a broker with these settings, files of which are in the folder that it gets. */
async function brokerWith(settings: (dir: string) => Promise<string> | string) {
  const dir = mkdtempSync(join(inject("testDir"), TEST_BROKER_PREFIX));
  atEnd(async () => rmSync(dir, { recursive: true, force: true }));
  const configFile = join(dir, "broker.conf");
  writeFileSync(configFile, await settings(dir));
  const server = await startNats({
    binary: inject("natsServer"),
    dataDir: dir,
    port: await freePort(),
    configFile,
    log: () => {},
  });
  atEnd(() => server.stop());
  return { url: server.url, dir };
}

test("a broker that asks for credentials is shown those of the file, and lets nobody in without them", async () => {
  const { config, creds } = natsAccount();
  const { url, dir } = await brokerWith(() => config);
  const credsFile = join(dir, "user.creds");
  writeFileSync(credsFile, creds);
  const { connection } = await open(url, silentLog, { credsFile }).online(never);
  await connection.flush();

  const foreign = join(dir, "foreign.creds");
  writeFileSync(foreign, natsAccount().creds);
  for (const others of [{}, { credsFile: foreign }])
    expect(await reasonAgainst(url, others)).toMatch(/authorization violation/i);
});

const openssl = await findOnPath("openssl");

/** Makes an authority and, signed by it, what a server of this name shows. Returns the broker's settings. */
async function certify(dir: string, name = "localhost"): Promise<string> {
  const run = (...args: string[]) => promisify(execFile)("openssl", args, { cwd: dir });
  const key = (of: string) => ["-newkey", "rsa:2048", "-nodes", "-keyout", `${of}.key`, "-subj", `/CN=${of}`];
  await run("req", "-x509", ...key("ca"), "-days", "2", "-out", "ca.pem");
  await run("req", ...key("server"), "-out", "server.csr");
  writeFileSync(join(dir, "names"), `subjectAltName=DNS:${name}\n`);
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
  await run("x509", "-req", "-in", "server.csr", ...signing, "-out", "server.pem");
  return `tls { cert_file: "${join(dir, "server.pem")}", key_file: "${join(dir, "server.key")}" }\n`;
}

/** Why a broker is not connected to, as the log says it. */
async function reasonAgainst(url: string, more: Partial<NatsOptions>): Promise<unknown> {
  const { log, lines } = recordingLog();
  const nats = open(url, log, more);
  const [line] = await until(() => lines.length > 0 && lines);
  await nats.close();
  return line?.error;
}

// Certificates are made with openssl; without it there are none.
test.skipIf(openssl === undefined)(
  "a broker that encrypts is believed if the authority of the file has signed for its name, and else is not",
  async () => {
    const { url, dir } = await brokerWith((dir) => certify(dir));
    const named = url.replace("127.0.0.1", "localhost");
    const encrypted = named.replace("nats:", "tls:");
    const caFile = join(dir, "ca.pem");
    for (const each of [named, encrypted]) {
      const { connection } = await open(each, silentLog, { caFile }).online(never);
      expect(connection.info?.tls_required).toBe(true);
      await connection.flush();
    }
    const other = mkdtempSync(join(dir, "other-"));
    await certify(other);
    expect(await reasonAgainst(encrypted, {})).toMatch(/certificate/);
    expect(await reasonAgainst(encrypted, { caFile: join(other, "ca.pem") })).toMatch(/certificate/);

    const elsewhere = await brokerWith((dir) => certify(dir, "nats.example"));
    const misnamed = elsewhere.url.replace("nats://127.0.0.1", "tls://localhost");
    const reason = await reasonAgainst(misnamed, { caFile: join(elsewhere.dir, "ca.pem") });
    expect(reason).toMatch(/does not match/);
  },
);

test("a connection that the client has given up for good is replaced", async () => {
  const nats = open();
  const first = await nats.online(never);
  await first.connection.close();
  await until(async () => first.lost.aborted);
  const next = await nats.online(never);
  expect(next.connection).not.toBe(first.connection);
  await next.connection.flush();
});
