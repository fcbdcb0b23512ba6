import { expect, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { type DnsOptions, watchDns } from "./dns.ts";
import { addressOf } from "./target.ts";

/** Follows a name whose look-ups the test answers; `ask` counts them. */
function following(options: Partial<DnsOptions> = {}) {
  const clock = manualClock();
  const { log, lines } = recordingLog();
  const state = { asked: 0, answer: async (): Promise<string[]> => ["10.0.0.1"] };
  const lists: string[][] = [];
  const lookup = () => {
    state.asked++;
    return state.answer();
  };
  const discovery = watchDns(
    { host: "product", port: 7 },
    { log, clock, lookup, ...options },
    (endpoints) => void lists.push(endpoints.map(addressOf)),
  );
  atEnd(() => discovery.stop());
  return { clock, lines, state, lists, discovery };
}

const refuse = async () => {
  throw new Error("getaddrinfo ENOTFOUND product");
};

test("each address of the name is an endpoint on the port", async () => {
  const { clock, state, lists } = following();
  state.answer = async () => ["10.0.0.1", "fd00::1"];
  await clock.whenSleeping(1);
  clock.advance(30_000);
  await clock.whenSleeping(1);
  expect(lists).toEqual([["10.0.0.1:7"], ["10.0.0.1:7", "[fd00::1]:7"]]);
});

test("the name is looked up again after 30 s, not before", async () => {
  const { clock, state } = following();
  await clock.whenSleeping(1);
  clock.advance(29_999);
  await clock.whenSleeping(1);
  expect(state.asked).toBe(1);
  clock.advance(1);
  await clock.whenSleeping(1);
  expect(state.asked).toBe(2);
});

test("the period is an option", async () => {
  const { clock, state } = following({ refreshMs: 500 });
  await clock.whenSleeping(1);
  clock.advance(500);
  await clock.whenSleeping(1);
  expect(state.asked).toBe(2);
});

test("a refresh looks it up, at most once a second", async () => {
  const { clock, state, discovery } = following();
  await clock.whenSleeping(1);
  discovery.refresh();
  discovery.refresh();
  await clock.whenSleeping(1);
  clock.advance(999);
  await clock.whenSleeping(1);
  expect(state.asked).toBe(1);
  clock.advance(1);
  await until(() => state.asked === 2);
  await clock.whenSleeping(1);
  clock.advance(5_000);
  await clock.whenSleeping(1);
  expect(state.asked).toBe(2);
  discovery.refresh();
  await until(() => state.asked === 3);
});

test("a look-up that fails or finds nothing changes nothing, not the period either, and is said once", async () => {
  const { clock, state, lists, lines } = following();
  await clock.whenSleeping(1);
  for (const answer of [refuse, async () => [], refuse, async () => ["10.0.0.2"], refuse]) {
    state.answer = answer;
    const { asked } = state;
    clock.advance(29_999);
    await clock.whenSleeping(1);
    expect(state.asked).toBe(asked);
    clock.advance(1);
    await clock.whenSleeping(1);
  }
  expect(lists).toEqual([["10.0.0.1:7"], ["10.0.0.2:7"]]);
  expect(lines.map(({ msg }) => msg)).toEqual([
    "the name is not found",
    "the name is found again",
    "the name is not found",
  ]);
});

test("before the first good look-up the next comes sooner: from 100 ms up to 5 s", async () => {
  const { log } = recordingLog();
  const clock = manualClock();
  const askedAtMs: number[] = [];
  const lookup = async () => {
    askedAtMs.push(clock.now());
    return askedAtMs.length < 10 ? [] : ["10.0.0.1"];
  };
  const found = Promise.withResolvers<unknown>();
  const discovery = watchDns({ host: "product", port: 7 }, { log, clock, lookup }, found.resolve);
  atEnd(() => discovery.stop());
  while (askedAtMs.length < 10) {
    await clock.whenSleeping(1);
    clock.advance(100);
  }
  expect(await found.promise).toEqual([{ host: "10.0.0.1", port: 7 }]);
  expect(askedAtMs.map((at, index) => at - (askedAtMs[index - 1] ?? 0))).toEqual([
    0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000,
  ]);
});

test("stopping does not wait for the resolver", async () => {
  const { state, discovery, clock } = following();
  await clock.whenSleeping(1);
  state.answer = () => new Promise(() => {});
  clock.advance(30_000);
  await until(() => state.asked === 2);
  await discovery.stop();
});

test("the system's resolver is asked by default", async () => {
  const { log } = recordingLog();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const discovery = watchDns({ host: "127.0.0.1", port: 7 }, { log }, resolve);
  atEnd(() => discovery.stop());
  expect(await promise).toEqual([{ host: "127.0.0.1", port: 7 }]);
});
