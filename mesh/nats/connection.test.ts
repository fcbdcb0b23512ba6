import { spawn } from "node:child_process";
import { expect, inject, test } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { type Nats, openNats } from "./connection.ts";

const broker = await testBroker();
const never = new AbortController().signal;

function open(url = broker.url, log = silentLog): Nats {
  const nats = openNats({ url, name: "test", log });
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

test("a connection that the client has given up for good is replaced", async () => {
  const nats = open();
  const first = await nats.online(never);
  await first.connection.close();
  await until(async () => first.lost.aborted);
  const next = await nats.online(never);
  expect(next.connection).not.toBe(first.connection);
  await next.connection.flush();
});
