import { createServer, type Socket } from "node:net";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Balancing, Jitter } from "../../gen/mesh/policy/v1/policy_pb.ts";
import type { Endpoint } from "../discovery/target.ts";
import { outcomeOf } from "../resilience/outcome.ts";
import { readTimeoutMs } from "../resilience/timeout-header.ts";
import type { Protocol } from "../rpc/client/protocol.ts";
import { atEnd } from "./at-end.ts";
import { manualClock } from "./clock.ts";
import { refusalOf } from "./refusal.ts";
import {
  type ArrivedAttempt,
  fails,
  REFUSED_STREAM,
  type ScriptedBackend,
  type Step,
  scriptedBackend,
  UNAVAILABLE,
} from "./scripted-backend.ts";
import { type TestServer, testServer } from "./server.ts";
import type { Death } from "./tcp-proxy.ts";
import { countable, duration, type ToyClientOptions, toyClient } from "./toy-client.ts";
import type { ToyPolicies } from "./toy-service.ts";
import { until } from "./until.ts";

/** What not every protocol can do. */
export interface RetryFeatures {
  /**
   * A server can say that it did not look at a call (REFUSED_STREAM, GOAWAY): HTTP/2 only. Over HTTP/1.1 a connection
   * that ends takes its call along, and nobody knows how far that came.
   */
  readonly saysRefused: boolean;
  /** The timeout header is what the policy gave, to the millisecond; grpc-js writes what is left when it sends. */
  readonly exactTimeouts: boolean;
}

const DEATHS: readonly Death[] = ["FIN", "RST"];
// By the clock of a test. Transports have the machine's, by which it is long.
const ATTEMPT_MS = 5_000;
const SHED = fails(Code.Unavailable, { reason: "SHED" });

/**
 * What every protocol's client does about attempts that fail, on real sockets. The numbers are those of the design's
 * scenarios. Describes the tests; call it at the top of a test file.
 */
export function retrySuite(protocol: Protocol, features: RetryFeatures): void {
  /** Some backends in the order in which they are asked, the client of them, and the attempts as they arrive. */
  async function playing(
    count: number,
    script: readonly Step[] = [],
    { contract, ...options }: ToyClientOptions & { contract?: ToyPolicies } = {},
  ) {
    const service = countable(contract);
    const attempts: ArrivedAttempt[] = [];
    const backends: ScriptedBackend[] = [];
    for (let i = 0; i < count; i++) backends.push(await scriptedBackend({ protocol, service, attempts }));
    for (const [i, step] of script.entries()) backends[i % count]?.plays(step);
    const client = toyClient(
      protocol,
      service,
      backends.map(({ endpoint }) => endpoint),
      options,
    );
    const places = () =>
      attempts.map(({ address }) => backends.findIndex((each) => each.address === address));
    return { client, service, backends, attempts, places };
  }

  describe(`over ${protocol}: what is retried`, () => {
    test("a call that fails goes to the next instance, and says so (A6, B8)", async () => {
      const { client, attempts, places } = await playing(3, [UNAVAILABLE, UNAVAILABLE]);
      expect(await client.ask({ text: "hello" })).toMatchObject({ text: "hello" });
      expect(places()).toEqual([0, 1, 2]);
      expect(attempts.map(({ previousAttempts }) => previousAttempts)).toEqual([undefined, "1", "2"]);
    });

    test("with one instance it is that one again", async () => {
      const { client, places } = await playing(1, [UNAVAILABLE]);
      await client.ask({});
      expect(places()).toEqual([0, 0]);
    });

    test("after the last attempt its error is the call's", async () => {
      const { client, attempts, backends } = await playing(1);
      backends[0]?.always(fails(Code.Unavailable, { reason: "OUT_OF_TOYS", domain: "toys" }));
      expect(await refusalOf(client.ask({}))).toMatchObject({ code: "Unavailable", reason: "OUT_OF_TOYS" });
      expect(attempts).toHaveLength(3);
    });

    test("a call that is not safe to repeat is made once, unless it carries its key (R5)", async () => {
      const { client, attempts } = await playing(2, [UNAVAILABLE]);
      expect(await refusalOf(client.order({}))).toMatchObject({ code: "Unavailable" });
      expect(attempts).toHaveLength(1);
      const keyed = await playing(2, [UNAVAILABLE]);
      await keyed.client.order({ requestId: "r1" });
      expect(keyed.attempts).toHaveLength(2);
    });

    test.each(["SHED", "DRAINING", "NOT_PROCESSED"])(
      "what a server says it has not begun (%s) is retried for any method (R5)",
      async (reason) => {
        const { client, places } = await playing(2, [fails(Code.Unavailable, { reason })]);
        await client.order({});
        expect(places()).toEqual([0, 1]);
      },
    );

    test("what another domain calls SHED is not the mesh's word", async () => {
      const { client, attempts } = await playing(2, [
        fails(Code.Unavailable, { reason: "SHED", domain: "x" }),
      ]);
      await expect(client.order({})).rejects.toMatchObject({ code: Code.Unavailable });
      expect(attempts).toHaveLength(1);
    });

    test("where nobody listens nothing was sent: any method goes to the next instance, uncounted (R5)", async () => {
      const { client, backends, attempts, places } = await playing(3, [SHED]);
      await backends[0]?.stop();
      backends[1]?.plays(SHED);
      await client.order({});
      expect(places()).toEqual([1, 2]);
      expect(attempts.map(({ previousAttempts }) => previousAttempts)).toEqual([undefined, "1"]);
    });

    test("when nobody listens anywhere it is UNAVAILABLE, after four tries", async () => {
      let retries = 0;
      const observer = { retried: () => void retries++ };
      const { client, backends } = await playing(1, [], { observer });
      await backends[0]?.stop();
      await expect(client.order({})).rejects.toMatchObject({ code: Code.Unavailable });
      expect(retries).toBeGreaterThanOrEqual(3);
    });

    test.each([
      Code.Canceled,
      Code.Unknown,
      Code.InvalidArgument,
      Code.NotFound,
      Code.AlreadyExists,
      Code.PermissionDenied,
      Code.ResourceExhausted,
      Code.FailedPrecondition,
      Code.Aborted,
      Code.OutOfRange,
      Code.Unimplemented,
      Code.Internal,
      Code.DataLoss,
      Code.Unauthenticated,
    ])("code %d of a server is its answer", async (code) => {
      const { client, attempts } = await playing(1, [fails(code)]);
      await expect(client.ask({})).rejects.toMatchObject({ code });
      expect(attempts).toHaveLength(1);
    });

    test("the codes of the contract are retried, these and no others", async () => {
      const retry = { codes: [Code.Internal, Code.Unknown] };
      const contract: ToyPolicies = { ask: { redundancy: { case: "retry", value: retry } } };
      const { client, attempts } = await playing(2, [fails(Code.Internal), fails(Code.Unknown)], {
        contract,
      });
      await client.ask({});
      expect(attempts).toHaveLength(3);
      const other = await playing(2, [UNAVAILABLE], { contract });
      await expect(other.client.ask({})).rejects.toMatchObject({ code: Code.Unavailable });
      expect(other.attempts).toHaveLength(1);
    });

    test("a stream is begun anew up to its first message", async () => {
      const { client, places } = await playing(2, [UNAVAILABLE]);
      expect(await Array.fromAsync(client.watch({ text: "a" }))).toMatchObject([{ text: "a" }]);
      expect(places()).toEqual([0, 1]);
    });

    test("a stream that breaks later is its reader's affair", async () => {
      const { client, attempts } = await playing(2, [fails(Code.Unavailable, { messages: ["a", "b"] })]);
      const seen: string[] = [];
      const watching = async () => {
        for await (const { text } of client.watch({})) seen.push(text);
      };
      await expect(watching()).rejects.toMatchObject({ code: Code.Unavailable });
      expect(seen).toEqual(["a", "b"]);
      expect(attempts).toHaveLength(1);
    });

    test("a large request is sent once (R11)", async () => {
      const suppressed: string[] = [];
      const observer = { suppressed: (_: unknown, why: string) => void suppressed.push(why) };
      const { client, attempts } = await playing(2, [UNAVAILABLE], { observer });
      await expect(client.ask({ text: "x".repeat(300 * 1024) })).rejects.toMatchObject({
        code: Code.Unavailable,
      });
      expect(attempts).toHaveLength(1);
      expect(suppressed).toEqual(["SIZE"]);
    });

    test("retries end with the budget, and the error stays the server's", async () => {
      const suppressed: string[] = [];
      const observer = { suppressed: (_: unknown, why: string) => void suppressed.push(why) };
      const gate = { case: "retryBudget" as const, value: { minPerSecond: 0.3, ratio: 0.001 } };
      const contract: ToyPolicies = {
        service: { gate, balancer: { policy: Balancing.PICK_FIRST }, breaker: { consecutive: 100 } },
      };
      const { client, backends, attempts } = await playing(1, [], { observer, contract });
      backends[0]?.always(UNAVAILABLE);
      for (let i = 0; i < 6; i++) {
        await expect(client.ask({})).rejects.toMatchObject({ code: Code.Unavailable });
      }
      // Three are there from the start, and of what is there one call may take a fifth.
      expect(attempts).toHaveLength(6 + 3);
      expect(suppressed).toHaveLength(6);
      expect(new Set(suppressed)).toEqual(new Set(["BUDGET"]));
    });
  });

  describe(`over ${protocol}: connections that break`, () => {
    test.each(DEATHS)(
      "a server that dies (%s) with a call: a method that is safe to repeat succeeds elsewhere (R6, B7)",
      async (how) => {
        const { client, places } = await playing(2, [{ does: "cut", how }]);
        expect(await client.ask({ text: "hello" })).toMatchObject({ text: "hello" });
        expect(places()).toEqual([0, 1]);
      },
    );

    test.each(DEATHS)("a server that dies (%s) with any other call is UNAVAILABLE (R6, B7)", async (how) => {
      const { client, attempts } = await playing(2, [{ does: "cut", how }]);
      const error = await client.order({}).catch((thrown) => thrown);
      expect(outcomeOf(error)).toMatchObject({ kind: "LOST", code: Code.Unavailable, notProcessed: false });
      expect(error).toMatchObject({ code: Code.Unavailable });
      expect(attempts).toHaveLength(1);
    });

    test.each(DEATHS)("a server that dies (%s) before a stream's first message", async (how) => {
      const { client, places } = await playing(2, [{ does: "cut", how }]);
      expect(await Array.fromAsync(client.watch({ text: "a" }))).toMatchObject([{ text: "a" }]);
      expect(places()).toEqual([0, 1]);
    });

    test.runIf(features.saysRefused)(
      "what is refused unread goes elsewhere at once, uncounted; the second time it is an attempt (R7)",
      async () => {
        const { client, attempts, places } = await playing(3, [REFUSED_STREAM, REFUSED_STREAM]);
        await client.order({});
        expect(places()).toEqual([0, 1, 2]);
        expect(attempts.map(({ previousAttempts }) => previousAttempts)).toEqual([undefined, undefined, "1"]);
      },
    );

    test.runIf(features.saysRefused)(
      "a call above the number of a GOAWAY was not begun: any method goes elsewhere (B7)",
      async () => {
        const { client, backends, places } = await playing(2);
        await client.order({});
        backends[0]?.plays({ does: "goaway" });
        await client.order({});
        expect(places()).toEqual([0, 0, 1]);
      },
    );

    test.runIf(features.saysRefused).each<Step["does"]>(["reset", "goaway"])(
      "what is refused unread (%s) while it is still being sent was not begun either",
      async (how) => {
        const { client, backends, places } = await playing(2);
        await client.order({});
        backends[0]?.plays(how === "reset" ? REFUSED_STREAM : { does: "goaway" });
        // More than a peer takes without having read.
        await client.order({ text: "x".repeat(200_000) });
        expect(places()).toEqual([0, 0, 1]);
      },
    );

    test.runIf(features.saysRefused)(
      "a stream that the server resets by CANCEL is CANCELED: its own decision, and no retry",
      async () => {
        const { client, attempts } = await playing(2, [{ does: "reset", code: 8 }]);
        await expect(client.ask({})).rejects.toMatchObject({ code: Code.Canceled });
        expect(attempts).toHaveLength(1);
      },
    );
  });

  describe(`over ${protocol}: what the server wishes`, () => {
    /** How long passed between the two attempts, at least; and what was waited for. */
    async function waited(step: Step) {
      const delays: number[] = [];
      const observer = { retried: (_: unknown, __: unknown, delayMs: number) => void delays.push(delayMs) };
      const { client, attempts } = await playing(1, [step], { observer });
      await client.ask({});
      expect(attempts).toHaveLength(2);
      // Whole milliseconds: a timer may be early by a part of one.
      return { gapMs: Math.ceil((attempts[1]?.arrivedMs ?? 0) - (attempts[0]?.arrivedMs ?? 0)), delays };
    }

    test("the next attempt comes when the server says, not before (R4)", async () => {
      const { gapMs, delays } = await waited(fails(Code.Unavailable, { pushback: "120" }));
      expect(delays).toEqual([120]);
      expect(gapMs).toBeGreaterThanOrEqual(120);
    });

    test("RESOURCE_EXHAUSTED is retried if the server says when", async () => {
      const { delays } = await waited(fails(Code.ResourceExhausted, { pushback: "30" }));
      expect(delays).toEqual([30]);
    });

    test("RetryInfo is a least wait, and pushback is above it", async () => {
      expect((await waited(fails(Code.Unavailable, { retryDelayMs: 60 }))).delays).toEqual([60]);
      const both = fails(Code.Unavailable, { retryDelayMs: 60, pushback: "20" });
      expect((await waited(both)).delays).toEqual([20]);
    });

    test.each(["-1", "abc", "", "99999999", "1.5"])(
      "pushback %j means that another attempt is of no use (R4, B11)",
      async (pushback) => {
        const { client, attempts } = await playing(1, [fails(Code.Unavailable, { pushback })]);
        await expect(client.ask({})).rejects.toMatchObject({ code: Code.Unavailable });
        expect(attempts).toHaveLength(1);
      },
    );
  });

  describe(`over ${protocol}: time`, () => {
    /** Attempts have a time of their own, and the next one follows at once: a clock that stands still lets no wait end. */
    const timed: ToyPolicies = {
      ask: {
        redundancy: {
          case: "retry",
          value: {
            attemptTimeout: duration(ATTEMPT_MS),
            initialBackoff: duration(0),
            maxBackoff: duration(0),
          },
        },
      },
    };

    test("each attempt tells the server what is left, which grows less (D3, B6)", async () => {
      const waitMs = 30;
      const retry = { initialBackoff: duration(waitMs), maxBackoff: duration(waitMs), jitter: Jitter.NONE };
      const contract: ToyPolicies = { ask: { redundancy: { case: "retry", value: retry } } };
      const { client, attempts } = await playing(1, [UNAVAILABLE, UNAVAILABLE], { contract });
      await client.ask({}, { timeoutMs: 20_000 });
      const told = attempts.map(({ timeoutMs }) => timeoutMs ?? Number.POSITIVE_INFINITY);
      expect(told).toHaveLength(3);
      expect(told[0]).toBeLessThanOrEqual(20_000);
      // A timer may be early by a part of a millisecond, and the header has whole ones.
      expect(told[1]).toBeLessThanOrEqual((told[0] ?? 0) - waitMs + 1);
      expect(told[2]).toBeLessThanOrEqual((told[1] ?? 0) - waitMs + 1);
      for (const timeoutMs of told) expect(timeoutMs).toBeGreaterThan(0);
    });

    test("an attempt has its own time, the last all that is left (D3)", async () => {
      const clock = manualClock();
      const hangs: Step = { does: "hang" };
      const { client, backends, attempts } = await playing(1, [hangs, hangs], { contract: timed, clock });
      const call = client.ask({}, { timeoutMs: 4 * ATTEMPT_MS });
      for (const count of [1, 2]) {
        await backends[0]?.whenArrived(count);
        clock.advance(ATTEMPT_MS);
      }
      await call;
      const [first, second, last] = attempts.map(({ timeoutMs }) => timeoutMs);
      expect(attempts).toHaveLength(3);
      expect(first).toBeLessThanOrEqual(ATTEMPT_MS);
      expect(second).toBeLessThanOrEqual(ATTEMPT_MS);
      expect(last).toBeLessThanOrEqual(2 * ATTEMPT_MS);
      expect(last).toBeGreaterThan(ATTEMPT_MS);
    });

    test.each([{ does: "hang" }, { does: "drip" }] as const)(
      "a server that accepts and $does's is given up, and the next one answers",
      async (step) => {
        const clock = manualClock();
        const { client, backends, places } = await playing(2, [step], { contract: timed, clock });
        const call = client.ask({});
        await backends[0]?.whenArrived(1);
        // Answered there after the first of what drips has come.
        await client.order({});
        clock.advance(ATTEMPT_MS);
        await call;
        expect(places()).toEqual([0, 0, 1]);
      },
    );

    test("without a retry a server that hangs costs the call's time, no more", async () => {
      const { client } = await playing(1, [{ does: "hang" }]);
      expect(await refusalOf(client.order({}, { timeoutMs: 50 }))).toMatchObject({
        code: "DeadlineExceeded",
        reason: "DEADLINE_EXCEEDED",
      });
    });

    test("a process that is stopped, whose kernel still accepts, is given up like one that hangs", async () => {
      const stopped = await silence();
      const clock = manualClock();
      const service = countable(timed);
      const other = await scriptedBackend({ protocol, service });
      const client = toyClient(protocol, service, [stopped.endpoint, other.endpoint], { clock });
      const call = client.ask({ text: "hello" });
      await stopped.accepted;
      clock.advance(ATTEMPT_MS);
      expect(await call).toMatchObject({ text: "hello" });
      expect(other.attempts).toHaveLength(1);
    });

    test("no attempt begins that could not end in time", async () => {
      const suppressed: string[] = [];
      const observer = { suppressed: (_: unknown, why: string) => void suppressed.push(why) };
      const step = fails(Code.Unavailable, { pushback: "25000" });
      const { client, attempts } = await playing(2, [step], { observer });
      await expect(client.ask({}, { timeoutMs: 10_000 })).rejects.toMatchObject({ code: Code.Unavailable });
      expect(attempts).toHaveLength(1);
      expect(suppressed).toEqual(["TIME"]);
    });

    test("who leaves while a call waits for its next attempt leaves nothing behind (R9)", async () => {
      const clock = manualClock();
      const waiting = Promise.withResolvers<void>();
      const observer = { retried: () => waiting.resolve() };
      const step = fails(Code.Unavailable, { pushback: "20000" });
      const { client, attempts } = await playing(2, [step], { observer, clock });
      const leaving = new AbortController();
      const call = client.ask({}, { signal: leaving.signal });
      const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
      await waiting.promise;
      leaving.abort();
      await refused;
      await clock.whenSleeping(0);
      expect(attempts).toHaveLength(1);
    });

    test("what is left shrinks from hop to hop by what each spends and 5 ms, a hundredfold (D2)", async () => {
      const clock = manualClock();
      const service = countable();
      const told: (number | undefined)[] = [];
      /** A service that works for 5 s and asks the next one, and where it is. */
      async function hop(next?: Endpoint): Promise<Endpoint> {
        const client = next && toyClient(protocol, service, [next], { clock });
        const server = await testServer(
          service,
          {
            async ask({ text }, { requestHeader }) {
              told.push(readTimeoutMs(requestHeader));
              clock.advance(5_000);
              return (await client?.ask({ text })) ?? { text };
            },
          },
          { clock },
        );
        return server.endpoint;
      }
      const edge = toyClient(protocol, service, [await hop(await hop(await hop()))], { clock });
      await edge.ask({}, { timeoutMs: 30_000 });
      expect(told).toHaveLength(3);
      for (const [k, timeoutMs = Number.POSITIVE_INFINITY] of told.entries()) {
        const mostMs = 30_000 - 5_005 * k;
        if (features.exactTimeouts) expect(timeoutMs).toBe(mostMs);
        expect(timeoutMs).toBeLessThanOrEqual(mostMs);
        expect(timeoutMs).toBeLessThanOrEqual(told[k - 1] ?? mostMs);
      }
    });

    test("who leaves at the edge is gone for every hop, and nothing is begun for nobody (D6)", async () => {
      const service = countable();
      const begun = Promise.withResolvers<void>();
      const tried = Promise.withResolvers<unknown>();
      const gone: string[] = [];
      const all = Promise.withResolvers<void>();
      const database = await scriptedBackend({ protocol, service });
      const later = toyClient(protocol, service, [database.endpoint]);
      async function hop(name: string, next?: Endpoint): Promise<Endpoint> {
        const client = next && toyClient(protocol, service, [next]);
        const server = await testServer(service, {
          async ask({ text }, { signal }) {
            const left = new Promise((resolve) => signal.addEventListener("abort", resolve));
            void left.then(() => {
              gone.push(name);
              if (gone.length === 3) all.resolve();
            });
            if (client) return client.ask({ text });
            begun.resolve();
            await left;
            tried.resolve(await later.ask({}).catch((error) => error));
            return {};
          },
        });
        return server.endpoint;
      }
      const edge = toyClient(protocol, service, [await hop("a", await hop("b", await hop("c")))]);
      const leaving = new AbortController();
      const call = edge.ask({}, { signal: leaving.signal });
      const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
      await begun.promise;
      leaving.abort();
      await refused;
      await all.promise;
      expect(gone.sort()).toEqual(["a", "b", "c"]);
      expect(await tried.promise).toMatchObject({ code: Code.Canceled });
      expect(database.attempts).toEqual([]);
    });
  });

  test(`over ${protocol}: a rolling restart of three instances fails no call that may be repeated (L6)`, async () => {
    const service = countable({ service: { balancer: { policy: Balancing.ROUND_ROBIN } } });
    const calls = new Map<number, number>();
    async function serve(port = 0): Promise<TestServer> {
      const ask = ({ text }: { text: string }) => {
        calls.set(server.port, (calls.get(server.port) ?? 0) + 1);
        return { text };
      };
      const server = await testServer(service, { ask }, { port });
      calls.set(server.port, 0);
      return server;
    }
    const servers = await Promise.all([serve(), serve(), serve()]);
    const endpoints = servers.map(({ endpoint }) => endpoint);
    const client = toyClient(protocol, service, endpoints, { watchesHealth: true });
    let isOver = false;
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver) await client.ask({});
    });
    const load = Promise.all(callers);
    const allTake = (count: number) =>
      Promise.race([until(() => [...calls.values()].every((taken) => taken >= count)), load]);
    await allTake(20);
    for (const { stop, port } of servers) {
      const others = () => [...calls].filter(([each]) => each !== port).map(([, taken]) => taken);
      await stop();
      const before = Math.max(...others());
      await Promise.race([until(() => others().every((taken) => taken > before + 20)), load]);
      await serve(port);
      // The next one is restarted when this one takes calls again.
      await allTake(20);
    }
    isOver = true;
    await load;
  });
}

/** A port whose owner never reads what comes, and when the first has connected to it. */
async function silence(): Promise<{ readonly endpoint: Endpoint; readonly accepted: Promise<void> }> {
  const sockets = new Set<Socket>();
  const accepted = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.pause();
    socket.on("error", () => {});
    sockets.add(socket);
    accepted.resolve();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  return { endpoint: { host: "127.0.0.1", port }, accepted: accepted.promise };
}
