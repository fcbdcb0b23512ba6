import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Balancing } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { policies } from "../../contract/policy.ts";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { settled } from "../../testing/toy-calls.ts";
import { toyService } from "../../testing/toy-service.ts";
import { until } from "../../testing/until.ts";
import { meshClient, openTarget } from "./client.ts";
import { PROTOCOLS } from "./protocol.ts";

const OPEN_FOR_MS = 600_000;
// By the clock of a test. Transports have the machine's, by which it is long.
const ATTEMPT_MS = 5_000;

// The first contract of this process, as it is that of the servers: both have its name.
const service = toyService({
  service: {
    gate: { case: "retryBudget", value: { minPerSecond: 1_000 } },
    balancer: { policy: Balancing.ROUND_ROBIN },
    breaker: { openBase: durationFromMs(OPEN_FOR_MS), openMax: durationFromMs(OPEN_FOR_MS) },
    defaults: {
      timeout: durationFromMs(20_000),
      redundancy: {
        case: "retry",
        value: {
          attemptTimeout: durationFromMs(ATTEMPT_MS),
          initialBackoff: durationFromMs(0),
          maxBackoff: durationFromMs(0),
        },
      },
    },
  },
});

/** A server in a process of its own. */
async function process(): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(join(import.meta.dirname, "../../testing/toy-process.ts"), {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  atEnd(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  if (!child.stdout) throw new Error("the child has an output");
  const [line] = await once(child.stdout, "data");
  return { child, port: Number(String(line)) };
}

test.each(PROTOCOLS)(
  "over %s: a process that is stopped costs five attempts; then its breaker is open, and it gets none until it goes on",
  async (protocol) => {
    const [stopped, other] = await Promise.all([process(), process()]);
    const endpoints = [stopped, other].map(({ port }) => ({ host: "127.0.0.1", port }));
    const changes: string[] = [];
    const clock = manualClock();
    const target = openTarget(
      { target: { scheme: "static", endpoints }, protocol, service },
      {
        watchesHealth: false,
        policies: policies(),
        clock,
        observer: { breakerChanged: (address, _, to) => void changes.push(`${address} ${to}`) },
      },
    );
    atEnd(async () => target.close());
    const client = meshClient(service, target);
    const pids = new Set<string>();
    for (let call = 0; call < 4; call++) pids.add((await client.ask({})).text);
    expect(pids).toEqual(new Set([stopped, other].map(({ child }) => String(child.pid))));

    stopped.child.kill("SIGSTOP");
    const [first] = target.state.endpoints.all();
    const answers: string[] = [];
    for (let call = 0; call < 30; call++) {
      const asking = client.ask({});
      await settled();
      if (first?.load.pending) clock.advance(ATTEMPT_MS);
      answers.push((await asking).text);
    }
    expect(new Set(answers)).toEqual(new Set([String(other.child.pid)]));
    expect(changes).toEqual([`127.0.0.1:${stopped.port} OPEN`]);
    expect(first?.breaker.describe()).toMatchObject({ state: "OPEN", trips: 1 });
    // Round robin began with either of the two.
    const before = first?.picked;
    for (let call = 0; call < 10; call++) await client.ask({});
    expect(first?.picked).toBe(before);

    stopped.child.kill("SIGCONT");
    clock.advance(OPEN_FOR_MS * 1.5);
    await until(async () => (await client.ask({})).text === String(stopped.child.pid));
    expect(changes.slice(-2)).toEqual(["HALF_OPEN", "CLOSED"].map((to) => `127.0.0.1:${stopped.port} ${to}`));
  },
);

test("over grpc: a process that is killed with its calls under way fails none that may be repeated (R6)", async () => {
  const [killed, other] = await Promise.all([process(), process()]);
  const endpoints = [killed, other].map(({ port }) => ({ host: "127.0.0.1", port }));
  const target = openTarget(
    { target: { scheme: "static", endpoints }, protocol: "grpc", service },
    { watchesHealth: false },
  );
  atEnd(async () => target.close());
  const client = meshClient(service, target);
  killed.child.kill("SIGSTOP");
  const asking = Array.from({ length: 6 }, () => client.ask({}));
  await until(() => (target.state.endpoints.all()[0]?.load.pending ?? 0) > 0);
  killed.child.kill("SIGKILL");
  const answers = await Promise.all(asking);
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set([String(other.child.pid)]));
});
