import { spawn } from "node:child_process";
import { expect, inject, test } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { openBucket } from "./bucket.ts";
import { type RegisterOptions, register } from "./register.ts";

const broker = await testBroker();
const never = new AbortController().signal;

function connected(url = broker.url) {
  const nats = openNats({ url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  return nats;
}

function registered(options: Partial<RegisterOptions> = {}) {
  const clock = manualClock();
  const { log, lines } = recordingLog();
  const endpoint = { host: "10.0.0.1", port: 7 };
  const running = register({
    ...{ nats: connected(), service: "product", instance: "1", endpoint, log, clock },
    ...options,
  });
  atEnd(() => running.stop());
  return { running, clock, said: () => lines.map(({ msg }) => msg) };
}

const KEY = "product.1.10=2e0=2e0=2e1=3a7";
const bucket = async () => openBucket(await connected().online(never), never);

/** The entry of the instance, once it is as wanted. */
async function entry(isWanted: (revision: number) => boolean = () => true) {
  const open = await bucket();
  return until(async () => {
    const found = await open.get(KEY).catch(() => null);
    return found?.operation === "PUT" && isWanted(found.revision) ? found : undefined;
  });
}

test("an instance says where it is, and says it again every two seconds", async () => {
  const { clock, said } = registered();
  const first = await entry();
  expect(first.json()).toEqual({
    host: "10.0.0.1",
    port: 7,
    instance: "1",
    startedAt: "2026-01-01T12:00:00.000Z",
  });
  // The heartbeat's and the clean-up's.
  await clock.whenSleeping(2);
  clock.advance(1_999);
  await clock.whenSleeping(2);
  expect((await entry()).revision).toBe(first.revision);
  clock.advance(1);
  await entry((revision) => revision > first.revision);
  expect(said()).toEqual(["registered"]);
});

test("stopping takes it out, and twice is once", async () => {
  const { running, clock, said } = registered();
  const { revision } = await entry();
  await Promise.all([running.stop(), running.stop()]);
  await clock.whenSleeping(0);
  const left = await (await bucket()).get(KEY);
  expect([left?.operation, left?.revision]).toEqual(["DEL", revision + 1]);
  expect(said()).toEqual(["registered", "left the registry"]);
});

test("stopping before it has registered leaves nothing, and waits for nothing", async () => {
  const { running, said } = registered({ nats: connected("nats://127.0.0.1:1") });
  await running.stop();
  expect(said()).toEqual([]);
});

test("stopping in the midst of registering leaves nothing", async () => {
  const nats = connected();
  await nats.online(never);
  const open = await bucket();
  for (let turns = 0; turns < 30; turns++) {
    const { running } = registered({ nats });
    // Each time a little later.
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await running.stop();
    expect((await open.get(KEY))?.operation).not.toBe("PUT");
  }
});

test("it registers again when NATS is back, with nothing in its memory", async () => {
  const { clock, said } = registered();
  await entry();
  await broker.stop();
  await broker.start();
  const again = entry();
  await until(async () => {
    clock.advance(100);
    return said().length === 2;
  });
  await again;
  expect(said()).toEqual(["registered", "registered"]);
});

test("it registers again when the bucket was lost, each time as soon", async () => {
  const { clock, said } = registered();
  for (let losses = 0; losses < 3; losses++) {
    await entry();
    // The heartbeat's and the clean-up's.
    await clock.whenSleeping(2);
    await (await bucket()).destroy();
    clock.advance(2_000);
    await until(() => said().at(-1) === "registers again");
    await clock.whenSleeping(1);
    clock.advance(100);
  }
  await entry();
  await until(() => said().at(-1) === "registered");
});

test("a broker that keeps no registry is asked again and again, which is said once", async () => {
  const port = await freePort();
  const child = spawn(inject("natsServer"), ["--addr", "127.0.0.1", "--port", String(port)], {
    stdio: "ignore",
  });
  atEnd(async () => void child.kill("SIGKILL"));
  const { clock, said } = registered({ nats: connected(`nats://127.0.0.1:${port}`) });
  for (const waitMs of [100, 200, 400, 800, 1_600, 2_000, 2_000]) {
    await clock.whenSleeping(1);
    clock.advance(waitMs - 1);
    await clock.whenSleeping(1);
    clock.advance(1);
  }
  await clock.whenSleeping(1);
  expect(said()).toEqual(["registers again"]);
});

test("stopping while NATS is away takes a second at most", async () => {
  const nats = connected();
  const { running, clock, said } = registered({ nats });
  await entry();
  const { lost } = await nats.online(never);
  await broker.stop();
  atEnd(() => broker.start());
  await until(() => lost.aborted);
  const stopped = running.stop();
  await clock.whenSleeping(1);
  clock.advance(1_000);
  await stopped;
  expect(said().at(-1)).toBe("could not leave the registry; its entry expires");
});

test.each([
  [{ service: "a b" }, '"a b" is no name of a service'],
  [{ endpoint: { host: "0.0.0.0", port: 7 } }, "nobody can call 0.0.0.0:7"],
  [{ endpoint: { host: "::", port: 7 } }, "nobody can call [::]:7"],
  [{ endpoint: { host: "10.0.0.1", port: 0 } }, "nobody can call 10.0.0.1:0"],
  [{ endpoint: { host: "no host", port: 7 } }, "nobody can call no host:7"],
  [{ instance: "x".repeat(1_024) }, "more than 1024 bytes"],
])("throws at once for %j", (options, message) => {
  const nats = connected("nats://127.0.0.1:1");
  expect(() => registered({ nats, ...options })).toThrow(message);
});
