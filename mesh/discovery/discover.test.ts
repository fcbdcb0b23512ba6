import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { type DiscoverOptions, discover } from "./discover.ts";
import { parseTarget } from "./target.ts";

function following(raw: string, options: Partial<DiscoverOptions> = {}) {
  const lists: string[][] = [];
  const discovery = discover(parseTarget(raw), { log: silentLog, ...options }, (endpoints) =>
    lists.push(endpoints.map(({ host }) => host)),
  );
  atEnd(() => discovery.stop());
  return { discovery, lists };
}

test("what is written down is told at once, each instance once, in its order", async () => {
  const { discovery, lists } = following("static:///b:1,a:1,b:1");
  expect(lists).toEqual([["b", "a"]]);
  discovery.refresh();
  await discovery.stop();
  expect(lists).toHaveLength(1);
});

test("a list is told when others are in it, not when it has another order", async () => {
  const clock = manualClock();
  const answers = [["::1", "10.0.0.1"], ["10.0.0.1", "::1", "::1"], ["10.0.0.1"]];
  const { lists } = following("dns:///product:1", { clock, lookup: async () => answers.shift() ?? [] });
  for (let refreshes = 0; refreshes < 3; refreshes++) {
    await clock.whenSleeping(1);
    clock.advance(30_000);
  }
  await clock.whenSleeping(1);
  expect(answers).toEqual([]);
  expect(lists).toEqual([["::1", "10.0.0.1"], ["10.0.0.1"]]);
});

test("nobody is told anything after the stop, whenever it comes", async () => {
  for (let ticks = 0; ticks < 20; ticks++) {
    const { promise, resolve } = Promise.withResolvers<string[]>();
    const { discovery, lists } = following("dns:///product:1", { lookup: () => promise });
    resolve(["10.0.0.1"]);
    for (let tick = 0; tick < ticks; tick++) await undefined;
    const told = lists.length;
    await discovery.stop();
    expect(lists).toHaveLength(told);
  }
});

test("the registry needs NATS", () => {
  expect(() => following("nats:///product")).toThrow("nats:///product needs a connection to NATS");
});
