import { Code, type ConnectError, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Balancing, Jitter } from "../../gen/mesh/policy/v1/policy_pb.ts";
import type { Protocol } from "../rpc/client/protocol.ts";
import { type ManualClock, manualClock } from "./clock.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import {
  type ArrivedAttempt,
  fails,
  type ScriptedBackend,
  type Step,
  scriptedBackend,
  UNAVAILABLE,
} from "./scripted-backend.ts";
import type { Death } from "./tcp-proxy.ts";
import { countable, duration, type ToyClientOptions, toyClient } from "./toy-client.ts";
import type { ToyPolicies } from "./toy-service.ts";
import { until } from "./until.ts";

const DEATHS: readonly Death[] = ["FIN", "RST"];
const NO_RETRY = { case: "retry" as const, value: { maxAttempts: 1 } };
const ROUND_ROBIN = { policy: Balancing.ROUND_ROBIN };
// Of callers, by the clock of a test. Transports have the machine's, by which it is long.
const PATIENCE_MS = 5_000;
// No chance in the length of an open breaker.
const EXACT = { openJitter: -1 };
const OPEN: Partial<Refusal> = { code: "Unavailable", reason: "BREAKER_OPEN", domain: "mesh.weft" };

/**
 * What every protocol's client does about endpoints that fail, on real sockets and by a clock that the tests move. The
 * numbers are those of the design's scenarios. Describes the tests; call it at the top of a test file.
 */
export function breakerSuite(protocol: Protocol): void {
  interface Playing {
    readonly client: ReturnType<typeof toyClient>;
    readonly clock: ManualClock;
    readonly backends: readonly ScriptedBackend[];
    /** The first of them. */
    readonly backend: ScriptedBackend;
    readonly attempts: readonly ArrivedAttempt[];
    /** What became of the breakers, as "from-to reason". */
    readonly changes: readonly string[];
    /** How many of so many calls, one after the other, were answered. */
    answered(count: number): Promise<number>;
  }

  async function playing(
    count: number,
    always: Step,
    contract: ToyPolicies = {},
    options: ToyClientOptions = {},
  ): Promise<Playing> {
    const clock = manualClock();
    const { service: own, ...methods } = contract;
    const service = countable({
      service: { breaker: EXACT, defaults: { redundancy: NO_RETRY, timeout: duration(30_000) }, ...own },
      ...methods,
    } as ToyPolicies);
    const attempts: ArrivedAttempt[] = [];
    const backends: ScriptedBackend[] = [];
    for (let i = 0; i < count; i++) backends.push(await scriptedBackend({ protocol, service, attempts }));
    const [backend] = backends;
    if (!backend) throw new Error("a test needs a backend");
    backend.always(always);
    const changes: string[] = [];
    const observer = {
      breakerChanged: (_: string, from: string, to: string, reason: string) =>
        void changes.push(`${from}-${to} ${reason}`),
    };
    const endpoints = backends.map(({ endpoint }) => endpoint);
    const client = toyClient(protocol, service, endpoints, { clock, observer, ...options });
    async function answered(calls: number): Promise<number> {
      let good = 0;
      for (let i = 0; i < calls; i++) {
        await client.ask({}).then(
          () => good++,
          () => {},
        );
      }
      return good;
    }
    return { client, clock, backends, backend, attempts, changes, answered };
  }

  describe(`over ${protocol}: a breaker`, () => {
    test("opens after five failures in a row; then nothing is sent", async () => {
      const { client, attempts, changes, answered } = await playing(1, UNAVAILABLE);
      expect(await answered(5)).toBe(0);
      expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
      expect(await refusalOf(client.ask({}))).toEqual(OPEN);
      expect(await refusalOf(client.order({}))).toEqual(OPEN);
      expect(attempts).toHaveLength(5);
    });

    test.each([
      Code.InvalidArgument,
      Code.NotFound,
      Code.FailedPrecondition,
      Code.PermissionDenied,
      Code.Unimplemented,
      Code.Aborted,
    ])("does not open for code %d, which only an endpoint that works says (C7)", async (code) => {
      const { attempts, changes, answered } = await playing(1, fails(code));
      await answered(30);
      expect(changes).toEqual([]);
      expect(attempts).toHaveLength(30);
    });

    test("opens for RESOURCE_EXHAUSTED by its share, not by its row (C7)", async () => {
      const { attempts, changes, answered } = await playing(1, fails(Code.ResourceExhausted));
      await answered(25);
      expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
      expect(attempts).toHaveLength(20);
    });

    test.each(["DRAINING", "SHED"])(
      "does not open for a server that says %s: it works, and knows what it does",
      async (reason) => {
        const { attempts, changes, answered } = await playing(1, fails(Code.Unavailable, { reason }));
        await answered(30);
        expect(changes).toEqual([]);
        expect(attempts).toHaveLength(30);
      },
    );

    test.each(DEATHS)("opens for connections that break (%s) (B7)", async (how) => {
      const { attempts, changes, answered } = await playing(1, { does: "cut", how });
      expect(await answered(7)).toBe(0);
      expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
      expect(attempts).toHaveLength(5);
    });

    test("opens for an endpoint where nobody listens; calls go elsewhere, and soon at once", async () => {
      let transparent = 0;
      const service = { balancer: ROUND_ROBIN };
      const { client, clock, backend, attempts, answered, changes } = await playing(
        3,
        { does: "answer" },
        { service },
        {
          observer: {
            retried: () => void transparent++,
            breakerChanged: (_, __, to) => void opened.push(to),
          },
        },
      );
      const opened: string[] = [];
      await backend.stop();
      // Methods that may not be repeated are as well off: nothing was sent.
      for (let i = 0; i < 20; i++) await client.order({});
      expect(await answered(20)).toBe(20);
      expect(opened).toEqual(["OPEN"]);
      expect(changes).toEqual([]);
      expect(transparent).toBe(5);
      expect(attempts).toHaveLength(40);
      expect(clock.now()).toBe(0);
    });

    test("lets one call try when its time is over: 19 beside it are refused at once (C3, B16)", async () => {
      const { client, clock, backend, attempts, changes, answered } = await playing(1, UNAVAILABLE);
      await answered(5);
      const verdict = Promise.withResolvers<void>();
      backend.always({ does: "answer", after: verdict.promise });
      clock.advance(1_000);
      const calls = Array.from({ length: 20 }, () =>
        client.ask({}).then(
          () => "answered",
          (error: ConnectError) => Code[error.code],
        ),
      );
      await backend.whenArrived(6);
      const refused = await Promise.all(calls.slice(1));
      expect(refused).toEqual(Array.from({ length: 19 }, () => "Unavailable"));
      verdict.resolve();
      expect(await calls[0]).toBe("answered");
      expect(attempts).toHaveLength(6);
      expect(changes.slice(1)).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-CLOSED PROBES_SUCCEEDED"]);
      expect(await answered(5)).toBe(5);
    });

    test("stays open for twice as long when the probe fails", async () => {
      const { clock, attempts, answered } = await playing(1, UNAVAILABLE);
      await answered(5);
      clock.advance(1_000);
      await answered(2);
      expect(attempts).toHaveLength(6);
      clock.advance(1_999);
      await answered(1);
      expect(attempts).toHaveLength(6);
      clock.advance(1);
      await answered(2);
      expect(attempts).toHaveLength(7);
    });

    test("gets its probe back from a caller who leaves (C5)", async () => {
      const { client, clock, backend, answered } = await playing(1, UNAVAILABLE);
      await answered(5);
      backend.always({ does: "hang" });
      clock.advance(1_000);
      const leaving = new AbortController();
      const probe = client.ask({}, { signal: leaving.signal });
      const refused = expect(probe).rejects.toMatchObject({ code: Code.Canceled });
      await backend.whenArrived(6);
      leaving.abort();
      await refused;
      backend.always({ does: "answer" });
      expect(await answered(3)).toBe(3);
    });

    test("does not blame an endpoint for callers who give it little time (C9)", async () => {
      const { client, backend, changes, clock } = await playing(1, { does: "hang" });
      for (let i = 1; i <= 10; i++) {
        const call = client.ask({}, { timeoutMs: PATIENCE_MS });
        const refused = expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
        await backend.whenArrived(i);
        clock.advance(PATIENCE_MS);
        await refused;
      }
      expect(changes).toEqual([]);
    });

    test("opens for an endpoint that is given its time and does not answer", async () => {
      const ask = {
        timeout: duration(30_000),
        redundancy: {
          case: "retry" as const,
          value: { attemptTimeout: duration(PATIENCE_MS), maxAttempts: 2 },
        },
      };
      const { client, clock, backends, backend, changes, attempts } = await playing(2, { does: "hang" }, {
        ask,
      } as ToyPolicies);
      for (let i = 1; i <= 5; i++) {
        const call = client.ask({});
        await backend.whenArrived(i);
        clock.advance(PATIENCE_MS);
        await clock.whenSleeping(1);
        clock.advance(25);
        await call;
      }
      expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
      await client.ask({});
      expect(backend.attempts).toHaveLength(5);
      expect(backends[1]?.attempts).toHaveLength(6);
      expect(attempts).toHaveLength(11);
    });

    test("takes an answer for a success, though connect aborts the signal of what it has answered (B9)", async () => {
      const aborted: boolean[] = [];
      const watch: Interceptor = (next) => async (request) => {
        const response = await next(request);
        request.signal.addEventListener("abort", () => aborted.push(true));
        return response;
      };
      const { clock, backend, answered, changes } = await playing(
        1,
        UNAVAILABLE,
        {},
        { interceptors: [watch] },
      );
      await answered(5);
      backend.always({ does: "answer" });
      clock.advance(1_000);
      expect(await answered(1)).toBe(1);
      await until(() => aborted.length === 1);
      expect(changes.slice(1)).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-CLOSED PROBES_SUCCEEDED"]);
    });

    test("is one for each endpoint: what one does is not held against another", async () => {
      const { backend, backends, answered } = await playing(2, UNAVAILABLE, {
        service: { balancer: ROUND_ROBIN },
      });
      expect(await answered(40)).toBe(35);
      expect(backend.attempts).toHaveLength(5);
      expect(backends[1]?.attempts).toHaveLength(35);
    });

    test("is not looked at when most of three or more are open (L8)", async () => {
      const { client, backends, attempts, answered } = await playing(3, UNAVAILABLE, {
        service: { balancer: ROUND_ROBIN },
      });
      for (const each of backends) each.always(UNAVAILABLE);
      await answered(30);
      const before = attempts.length;
      for (const each of backends) each.always({ does: "answer" });
      expect(await answered(30)).toBe(30);
      expect(attempts).toHaveLength(before + 30);
      await client.order({});
    });

    test("counts each attempt of a call, and its retries go where none is open", async () => {
      const { client, backend, backends, changes } = await playing(2, UNAVAILABLE, {
        service: { defaults: { timeout: duration(30_000), redundancy: quick(3) } },
      } as ToyPolicies);
      for (let i = 0; i < 8; i++) await client.ask({});
      expect(changes).toEqual(["CLOSED-OPEN CONSECUTIVE"]);
      expect(backend.attempts).toHaveLength(5);
      expect(backends[1]?.attempts).toHaveLength(8);
    });
  });

  describe(`over ${protocol}: the classic example, stated in a contract`, () => {
    // The last 5 calls, half of them failed: open for 10 seconds. 3 attempts, 2 seconds apart.
    const classic = {
      service: {
        gate: { case: "retryBudget" as const, value: { minPerSecond: 10 } },
        breaker: {
          window: { case: "windowCalls" as const, value: 5 },
          failureRatio: 0.5,
          openBase: duration(10_000),
          openMax: duration(10_000),
          openJitter: -1,
        },
        defaults: {
          timeout: duration(30_000),
          redundancy: {
            case: "retry" as const,
            value: {
              maxAttempts: 3,
              initialBackoff: duration(2_000),
              maxBackoff: duration(2_000),
              jitter: Jitter.NONE,
            },
          },
        },
      },
    } as ToyPolicies;

    /** Moves the clock by the wait between two attempts once the call waits. */
    async function waits({ clock }: Playing, times: number) {
      for (let i = 0; i < times; i++) {
        await clock.whenSleeping(1);
        clock.advance(2_000);
      }
    }

    test("three attempts, two seconds apart", async () => {
      const delays: number[] = [];
      const toy = await playing(1, { does: "answer" }, classic, {
        observer: { retried: (_, __, delayMs) => void delays.push(delayMs) },
      });
      const { client, clock, backend, attempts } = toy;
      backend.plays(UNAVAILABLE, UNAVAILABLE);
      const call = client.ask({ text: "hello" });
      for (const count of [1, 2]) {
        await backend.whenArrived(count);
        await until(() => delays.length === count);
        clock.advance(2_000);
      }
      expect(await call).toMatchObject({ text: "hello" });
      expect(attempts).toHaveLength(3);
      expect(delays).toEqual([2_000, 2_000]);
      expect(clock.now()).toBe(4_000);
      await waits(toy, 0);
    });

    test("two of five do not open it, three do; after ten seconds one call tries", async () => {
      const { client, clock, backend, attempts, changes } = await playing(1, { does: "answer" }, {
        ...classic,
        ask: { redundancy: NO_RETRY },
      } as ToyPolicies);
      backend.plays({ does: "answer" }, { does: "answer" }, { does: "answer" }, UNAVAILABLE, UNAVAILABLE);
      for (let i = 0; i < 5; i++) await client.ask({}).catch(() => {});
      expect(changes).toEqual([]);
      // The oldest of the five was a success, so that three of the last five are failures.
      backend.plays(UNAVAILABLE);
      await client.ask({}).catch(() => {});
      expect(changes).toEqual(["CLOSED-OPEN RATIO"]);
      expect(await refusalOf(client.ask({}))).toEqual(OPEN);
      clock.advance(9_999);
      expect(await refusalOf(client.ask({}))).toEqual(OPEN);
      expect(attempts).toHaveLength(6);
      clock.advance(1);
      await client.ask({});
      expect(changes.slice(1)).toEqual(["OPEN-HALF_OPEN TIME", "HALF_OPEN-CLOSED PROBES_SUCCEEDED"]);
      expect(attempts).toHaveLength(7);
    });
  });

  describe(`over ${protocol}: hedges`, () => {
    const hedged = (fixedMs: number, maxExtraLoad = 1): ToyPolicies =>
      ({
        ask: {
          timeout: duration(30_000),
          redundancy: {
            case: "hedge" as const,
            value: { maxAttempts: 2, maxExtraLoad, delay: { case: "fixed", value: duration(fixedMs) } },
          },
        },
      }) as ToyPolicies;

    test("a second attempt goes to another endpoint, and the first good answer wins", async () => {
      const { client, clock, backend, backends } = await playing(2, { does: "hang" }, hedged(100));
      const call = client.ask({ text: "hello" });
      await backend.whenArrived(1);
      clock.advance(100);
      expect(await call).toMatchObject({ text: "hello" });
      expect([backend.attempts.length, backends[1]?.attempts.length]).toEqual([1, 1]);
      expect(backends[1]?.attempts[0]?.previousAttempts).toBe("1");
    });

    test("a hedge that is told to come back no more does not end the call whose first attempt lives (H4, B12)", async () => {
      const slow = Promise.withResolvers<void>();
      const { client, clock, backend, backends } = await playing(
        2,
        { does: "answer", text: "first", after: slow.promise },
        hedged(100),
      );
      backends[1]?.always(fails(Code.Unavailable, { pushback: "-1" }));
      const call = client.ask({});
      await backend.whenArrived(1);
      clock.advance(100);
      await backends[1]?.whenArrived(1);
      slow.resolve();
      expect(await call).toMatchObject({ text: "first" });
    });

    test("when everything fails hedges add no more than their budget (H3, B10)", async () => {
      const { backends, attempts, answered } = await playing(2, UNAVAILABLE, {
        ...hedged(100, 0.05),
        service: { breaker: { consecutive: 10_000, minCalls: 10_000 } },
      });
      backends[1]?.always(UNAVAILABLE);
      await answered(200);
      expect(attempts.length).toBeGreaterThan(200);
      expect(attempts.length).toBeLessThanOrEqual(200 * 1.05 + 1);
    });

    test("the endpoint of the attempt that lost is not blamed (H5)", async () => {
      const { client, clock, backend, changes } = await playing(2, { does: "hang" }, hedged(100));
      for (let i = 1; i <= 8; i++) {
        const call = client.ask({});
        await backend.whenArrived(i);
        clock.advance(100);
        await call;
      }
      expect(changes).toEqual([]);
      expect(backend.attempts).toHaveLength(8);
    });
  });
}

/** Retries that wait for no time at all: a clock that stands still lets no wait end. */
function quick(maxAttempts: number) {
  const none = duration(0);
  return { case: "retry" as const, value: { maxAttempts, initialBackoff: none, maxBackoff: none } };
}
