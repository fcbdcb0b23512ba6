import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { until } from "../../testing/until.ts";
import { watchHealth } from "./watch-health.ts";

type Said = Status | Promise<unknown> | ConnectError;

/** Watches a server that says these things, a list for each time that it is asked; more is silence. */
function watched(...said: (readonly Said[])[]) {
  const clock = manualClock();
  const heard: boolean[] = [];
  let asked = 0;
  const transport = createRouterTransport((router) =>
    router.service(Health, {
      async *watch(_, { signal }) {
        for (const each of said[asked++] ?? []) {
          if (each instanceof ConnectError) throw each;
          if (each instanceof Promise) await each;
          else yield { status: each };
        }
        if (asked > said.length) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    }),
  );
  const stop = watchHealth(transport, { clock, random: () => 0.5 }, (isServing) => heard.push(isServing));
  atEnd(async () => stop());
  return { clock, heard, asked: () => asked, stop };
}

const broken = new ConnectError("the connection broke", Code.Unavailable);

test("what a server says of itself is passed on", async () => {
  const { heard } = watched([Status.SERVING, Status.NOT_SERVING, Status.SERVING, new Promise(() => {})]);
  await until(() => heard.length === 3);
  expect(heard).toEqual([true, false, true]);
});

test("one that does not offer it is healthy, and is not asked again (A17)", async () => {
  const { heard, asked } = watched([new ConnectError("no such thing", Code.Unimplemented)]);
  await until(() => heard.length === 1);
  expect([heard, asked()]).toEqual([[true], 1]);
});

test("a watch that breaks is begun again at once; only if that fails too the server does not serve", async () => {
  const { clock, heard, asked } = watched([Status.SERVING, broken], [Status.SERVING, broken], [broken], []);
  await clock.whenSleeping(1);
  expect([heard, asked()]).toEqual([[true, true, false], 3]);
  clock.advance(249);
  expect(asked()).toBe(3);
  clock.advance(1);
  await until(() => asked() === 4);
});

test("a server that stays away is asked after longer and longer waits, 5 s at most", async () => {
  const { clock, asked } = watched(...Array.from({ length: 20 }, () => [broken]));
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    await clock.whenSleeping(1);
    const [before, startedMs] = [asked(), clock.now()];
    while (asked() === before) {
      clock.advance(1);
      // So that the next watch can begin.
      await new Promise((resolve) => setImmediate(resolve));
    }
    waits.push(clock.now() - startedMs);
  }
  expect(waits).toEqual([250, 400, 640, 1024, 1639, 2622, 4195, 5000, 5000]);
});

test("who has stopped watching hears nothing more", async () => {
  const goOn = Promise.withResolvers<void>();
  const { heard, stop } = watched([Status.SERVING, goOn.promise, Status.NOT_SERVING]);
  await until(() => heard.length === 1);
  stop();
  goOn.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual([true]);
});
