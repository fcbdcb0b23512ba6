import { expect, onTestFinished, test, vi } from "vitest";
import { OnDead, OnUnknownType, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { subscriptionContract } from "../contract/event.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { PermanentError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import { silentLog } from "../core/log.ts";
import { childOf, formatTraceparent, type Trace } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import type { SpanInit } from "../telemetry/spans.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { type Random, random } from "../testing/random.ts";
import { type ToyMessage, toyMessage } from "../testing/toy-messages.ts";
import { type Toys, toys } from "../testing/toys.ts";
import { readEnvelope } from "./envelope.ts";
import { handlersByType, on } from "./handlers.ts";
import { InboxTelemetry } from "./inbox-telemetry.ts";
import { type Answer, type Processing, processMessage, RETRY_DELAYS_MS } from "./process-message.ts";
import type { Replay } from "./replay.ts";
import { boundTransaction } from "./run-handler.ts";

const { sql } = await meshDatabase(10);
await sql`CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, consumer text, key text, key_seq int)`;

const hurried: Clock = { ...systemClock, sleep: () => Promise.resolve() };
const never = new AbortController().signal;

type Handle = (
  tx: Tx,
  event: { toyId: string; n: number },
  meta: { readonly signal: AbortSignal },
) => Promise<void>;

/** A consumer whose stream begins where a test says. */
function consumerOf(contract: Toys, handle: Handle = async () => {}) {
  const stream = { firstSeq: 1 };
  const subscription = subscriptionContract(contract.service, contract.subscription);
  const moved = on(contract.Moved, async (tx, event, meta) => {
    await tx`INSERT INTO effect (consumer, key, key_seq) VALUES (${contract.consumer}, ${event.toyId}, ${event.n})`;
    await handle(tx, event, meta);
  });
  const processing: Processing = {
    sql,
    consumer: contract.consumer,
    instance: "toy-1",
    contract: subscription,
    handlers: handlersByType(subscription, [moved]),
    firstSeqOfStream: async () => stream.firstSeq,
    retryDelaysMs: RETRY_DELAYS_MS,
    telemetry: new InboxTelemetry(contract.consumer, hurried),
    log: silentLog,
    clock: hurried,
  };
  const deliver = (toy: ToyMessage, deliveryCount = 1): Promise<Answer> => {
    const message = toyMessage(contract, toy, deliveryCount);
    return processMessage(processing, message, readEnvelope(message.headers), never);
  };
  return { deliver, processing, stream };
}

async function effectsOf({ consumer }: Toys, key: string): Promise<number[]> {
  const rows =
    await sql`SELECT key_seq FROM effect WHERE consumer = ${consumer} AND key = ${key} ORDER BY id`;
  return rows.map((row) => row.key_seq);
}

async function deadOf({ aggregate }: Toys): Promise<{ key: string; keySeq: number; reason: string }[]> {
  const rows = await sql`
    SELECT headers FROM outbox WHERE stream = 'DLQ' AND subject LIKE ${`dlq.${aggregate}.%`} ORDER BY id`;
  return rows.map(({ headers }) => ({
    key: headers["ce-partitionkey"],
    keySeq: Number(headers["ce-keyseq"]),
    reason: headers["dlq-reason"],
  }));
}

/** The first events of a key, alone in its stream. */
function messagesOf(key: string, count: number): ToyMessage[] {
  return Array.from({ length: count }, (_, i) => ({
    key,
    keySeq: i + 1,
    seq: i + 1,
    prevSeq: i,
    eventId: newId(),
  }));
}

test("a new consumer of a kept history that gets 4, 5, 6, 1, 2, 3 handles 1 to 6", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract);
  let open = [4, 5, 6, 1, 2, 3].map((n) => messagesOf("a", 6)[n - 1] as ToyMessage);
  const turns: number[][] = [];
  while (open.length > 0) {
    const again: ToyMessage[] = [];
    for (const toy of open) if ((await deliver(toy)).kind === "nak") again.push(toy);
    turns.push(again.map((toy) => toy.keySeq));
    open = again;
  }
  expect(turns).toEqual([[4, 5, 6], []]);
  expect(await effectsOf(contract, "a")).toEqual([1, 2, 3, 4, 5, 6]);
});

test("a new consumer begins a key with the first event that the stream still holds, whatever comes first", async () => {
  const contract = toys();
  const { deliver, stream } = consumerOf(contract);
  stream.firstSeq = 3;
  const [, , three, four] = messagesOf("a", 4) as [ToyMessage, ToyMessage, ToyMessage, ToyMessage];
  expect((await deliver(four)).kind).toBe("nak");
  expect((await deliver(three)).kind).toBe("ack");
  expect((await deliver(four)).kind).toBe("ack");
  expect(await effectsOf(contract, "a")).toEqual([3, 4]);
});

test("a LATEST consumer does not take an event for an old one because of a type that it does not handle", async () => {
  const contract = toys({ ordering: Ordering.LATEST });
  const { deliver } = consumerOf(contract);
  const [, two, three] = messagesOf("a", 3) as [ToyMessage, ToyMessage, ToyMessage];
  expect(await deliver({ ...three, event: "Painted" })).toEqual({ kind: "ack" });
  expect(await deliver(two)).toEqual({ kind: "ack" });
  expect(await effectsOf(contract, "a")).toEqual([2]);
});

test("an event whose predecessor nobody knows any more begins its key", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract);
  expect(await deliver({ key: "a", keySeq: 9, seq: 40, prevSeq: "pruned" })).toEqual({ kind: "ack" });
  expect(await effectsOf(contract, "a")).toEqual([9]);
});

test("an event that begins its key and fails for good becomes a dead letter, whether its key is parked or not", async () => {
  const fails: Handle = async () => {
    throw new PermanentError("never");
  };
  for (const onDead of [OnDead.PARK_KEY, OnDead.SKIP]) {
    const contract = toys({ onDead });
    const { deliver } = consumerOf(contract, fails);
    expect(await deliver({ key: "a", keySeq: 9, seq: 40, prevSeq: "pruned" })).toEqual({ kind: "ack" });
    expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 9, reason: "permanent" }]);
  }
});

test("an event after others that are gone becomes a dead letter and parks its key", async () => {
  const contract = toys();
  const { deliver, stream } = consumerOf(contract);
  const [one, , , four, five] = messagesOf("a", 5) as ToyMessage[];
  await deliver(one as ToyMessage);
  stream.firstSeq = 4;
  expect((await deliver(five as ToyMessage)).kind).toBe("nak");
  expect((await deliver(four as ToyMessage)).kind).toBe("ack");
  expect((await deliver(five as ToyMessage)).kind).toBe("ack");
  expect(await deadOf(contract)).toEqual([
    { key: "a", keySeq: 4, reason: "history_lost" },
    { key: "a", keySeq: 5, reason: "blocked" },
  ]);
  expect(await effectsOf(contract, "a")).toEqual([1]);
});

test("where dead letters are skipped, a key goes on after what is gone", async () => {
  const contract = toys({ onDead: OnDead.SKIP });
  const { deliver, stream } = consumerOf(contract);
  const [one, , , four, five] = messagesOf("a", 5) as ToyMessage[];
  await deliver(one as ToyMessage);
  stream.firstSeq = 4;
  await deliver(four as ToyMessage);
  await deliver(five as ToyMessage);
  expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 4, reason: "history_lost" }]);
  expect(await effectsOf(contract, "a")).toEqual([1, 5]);
});

test("a key that was parked goes on once its subscription skips dead letters", async () => {
  const contract = toys();
  const [one, two, three, four] = messagesOf("a", 4) as ToyMessage[];
  const broken = consumerOf(contract, async () => {
    throw new PermanentError("never");
  });
  await broken.deliver(one as ToyMessage);
  const { processing } = consumerOf(contract);
  const skips = { ...processing, contract: { ...processing.contract, onDead: OnDead.SKIP } };
  for (const toy of [two, three, four]) {
    const message = toyMessage(contract, toy as ToyMessage);
    await processMessage(skips, message, readEnvelope(message.headers), never);
  }
  expect(await deadOf(contract)).toEqual([
    { key: "a", keySeq: 1, reason: "permanent" },
    { key: "a", keySeq: 2, reason: "blocked" },
  ]);
  expect(await effectsOf(contract, "a")).toEqual([3, 4]);
});

test("while nobody can say where the stream begins, an event ahead of its turn waits, and that is no attempt", async () => {
  const contract = toys();
  const { deliver, processing } = consumerOf(contract);
  const [, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  const away = {
    ...processing,
    firstSeqOfStream: async () => {
      throw new Error("timeout");
    },
  };
  const message = toyMessage(contract, two);
  expect((await processMessage(away, message, readEnvelope(message.headers), never)).kind).toBe("nak");
  expect(await sql`SELECT 1 FROM inbox_failure WHERE consumer = ${contract.consumer}`).toHaveLength(0);
  expect((await deliver(two)).kind).toBe("nak");
});

test("an event of a type that is not handled moves its key on", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract);
  const [one, two, three] = messagesOf("a", 3) as [ToyMessage, ToyMessage, ToyMessage];
  for (const toy of [one, { ...two, event: "Painted" as const }, three]) {
    expect(await deliver(toy)).toEqual({ kind: "ack" });
  }
  expect(await effectsOf(contract, "a")).toEqual([1, 3]);
});

test("where types that are not handled become dead letters, that waits for their turn", async () => {
  for (const onDead of [OnDead.PARK_KEY, OnDead.SKIP]) {
    const contract = toys({ onDead, onUnknownType: OnUnknownType.DEAD_LETTER });
    const { deliver } = consumerOf(contract);
    const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
    const unknown = { ...two, event: "Painted" as const };
    expect((await deliver(unknown)).kind).toBe("nak");
    await deliver(one);
    expect((await deliver(unknown)).kind).toBe("ack");
    expect(await effectsOf(contract, "a")).toEqual([1]);
    expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 2, reason: "undecodable" }]);
  }
});

/** From now on the time of a handler is up when the test says so; `asked` are the lengths that it was given. */
function handlerTime() {
  const over = new AbortController();
  const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(over.signal);
  onTestFinished(() => timeout.mockRestore());
  return {
    end: () => over.abort(new DOMException("its time is up", "TimeoutError")),
    asked: () => timeout.mock.calls.flat(),
  };
}

test("a handler that is over its time leaves nothing, whatever it does afterwards", async () => {
  const contract = toys({ handlerTimeout: { seconds: 7n } });
  const time = handlerTime();
  const [answered, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { deliver } = consumerOf(contract, async (tx, { toyId, n }) => {
    time.end();
    // What it does then is what this is about.
    await answered.promise;
    const write = async () => {
      await tx`INSERT INTO effect (consumer, key, key_seq) VALUES (${contract.consumer}, ${toyId}, ${n})`;
    };
    late.resolve(write());
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  expect((await deliver(one)).kind).toBe("nak");
  answered.resolve();
  await expect(late.promise).rejects.toThrow("the transaction is over");
  expect(await effectsOf(contract, "a")).toEqual([]);
  expect(time.asked()).toEqual([7_000]);
});

test("a handler is told when its time is up, and so is all that it calls", async () => {
  const contract = toys();
  const time = handlerTime();
  const told = Promise.withResolvers<unknown>();
  const { deliver } = consumerOf(contract, async (_tx, _event, { signal }) => {
    const isOfItsCalls = currentWork()?.signal === signal;
    const wasOver = signal.aborted;
    signal.addEventListener("abort", () => told.resolve([isOfItsCalls, wasOver, signal.reason.name]));
    time.end();
    await new Promise(() => {});
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  expect((await deliver(one)).kind).toBe("nak");
  expect(await told.promise).toEqual([true, false, "TimeoutError"]);
  expect(await failuresOf(contract)).toMatchObject([{ attempts: 1 }]);
});

test("an attempt that fails is counted, remembered, and delayed longer each time", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract, async () => {
    throw new TypeError("not today");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  const delays: number[] = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    const answer = await deliver(one, attempt);
    if (answer.kind === "nak") delays.push(answer.delayMs);
  }
  [500, 2_000, 8_000, 30_000, 120_000].forEach((base, i) => {
    expect(delays[i]).toBeGreaterThanOrEqual(base * 0.8);
    expect(delays[i]).toBeLessThanOrEqual(base * 1.2);
  });
  const [failure] = await sql`SELECT * FROM inbox_failure WHERE consumer = ${contract.consumer}`;
  expect(failure).toMatchObject({ attempts: 5, error_type: "TypeError", error: "TypeError: not today" });
  expect((await deliver(one, 6)).kind).toBe("ack");
  expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 1, reason: "exhausted" }]);
  expect(await sql`SELECT 1 FROM inbox_failure WHERE consumer = ${contract.consumer}`).toHaveLength(0);
});

test("a success forgets the attempts that failed before", async () => {
  const contract = toys();
  let fails = true;
  const { deliver } = consumerOf(contract, async () => {
    if (fails) throw new Error("not today");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  await deliver(one);
  fails = false;
  expect(await deliver(one, 2)).toEqual({ kind: "ack" });
  expect(await sql`SELECT 1 FROM inbox_failure WHERE consumer = ${contract.consumer}`).toHaveLength(0);
});

test("a handler learns which attempt it is, not how often the message came", async () => {
  const contract = toys();
  const seen: number[] = [];
  const { processing } = consumerOf(contract);
  const moved = on(contract.Moved, async (_tx, _event, { attempt }) => {
    seen.push(attempt);
    if (seen.length < 3) throw new Error("not today");
  });
  const handlers = handlersByType(processing.contract, [moved]);
  const [one] = messagesOf("a", 1) as [ToyMessage];
  for (const deliveryCount of [7, 8, 9]) {
    const message = toyMessage(contract, one, deliveryCount);
    await processMessage({ ...processing, handlers }, message, readEnvelope(message.headers), never);
  }
  expect(seen).toEqual([1, 2, 3]);
});

/** An error as the driver throws it. */
const withCode = (code: string) => Object.assign(new Error(code), { code });
const failuresOf = ({ consumer }: Toys) =>
  sql`SELECT started, attempts FROM inbox_failure WHERE consumer = ${consumer}`;

test.each(["40001", "40P01", "55P03"])(
  "a conflict (%s) is tried again at once, and is no attempt",
  async (code) => {
    const contract = toys();
    let runs = 0;
    const { deliver } = consumerOf(contract, async () => {
      if (++runs <= 3) throw withCode(code);
    });
    const [one] = messagesOf("a", 1) as [ToyMessage];
    expect(await deliver(one)).toEqual({ kind: "ack" });
    expect(runs).toBe(4);
    expect(await effectsOf(contract, "a")).toEqual([1]);
    expect(await failuresOf(contract)).toHaveLength(0);
  },
);

test("a conflict that stays is an attempt", async () => {
  const contract = toys();
  let runs = 0;
  const { deliver } = consumerOf(contract, async () => {
    runs++;
    throw withCode("40P01");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  expect((await deliver(one)).kind).toBe("nak");
  expect(runs).toBe(4);
  expect(await failuresOf(contract)).toMatchObject([{ attempts: 1 }]);
});

test("that something else than the database is away, as a handler finds, is an attempt", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract, async () => {
    throw withCode("ECONNREFUSED");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  expect((await deliver(one)).kind).toBe("nak");
  expect(await failuresOf(contract)).toMatchObject([{ attempts: 1 }]);
});

test("that the database is away, as a handler finds, is no attempt", async () => {
  const contract = toys();
  const { deliver } = consumerOf(contract, async () => {
    throw withCode("57P01");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  await expect(deliver(one)).rejects.toThrow("57P01");
  expect(await failuresOf(contract)).toHaveLength(0);
});

test("a message whose time is up becomes a dead letter unhandled, unless an operator wants it all the same", async () => {
  const contract = toys();
  const { processing } = consumerOf(contract);
  const deliver = async (toy: ToyMessage, expiryTime: string, replay?: Replay) => {
    const message = toyMessage(contract, toy);
    message.headers?.set("ce-expirytime", expiryTime);
    return processMessage(processing, message, readEnvelope(message.headers), never, replay);
  };
  const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  expect(await deliver(one, "2999-01-01T00:00:00Z")).toEqual({ kind: "ack" });
  expect(await deliver(two, "2020-01-01T00:00:00Z")).toEqual({ kind: "ack" });
  expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 2, reason: "expired" }]);
  expect(await effectsOf(contract, "a")).toEqual([1]);
  const { stream } = contract;
  await deliver(two, "2020-01-01T00:00:00Z", { action: "retry", deaths: 1, stream, isPastLost: false });
  expect(await effectsOf(contract, "a")).toEqual([1, 2]);
});

test("a message that is begun again and again, and neither handled nor failed, is not begun any more", async () => {
  const contract = toys({ maxAttempts: 2 });
  let begun = 0;
  const { deliver } = consumerOf(contract, async () => {
    begun++;
    // What the death of the process looks like to its successor: nothing was recorded.
    throw withCode("57P01");
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  for (let delivery = 1; delivery <= 6; delivery++) {
    await expect(deliver(one, delivery)).rejects.toThrow();
  }
  expect(await deliver(one, 7)).toEqual({ kind: "ack" });
  expect(begun).toBe(6);
  expect(await deadOf(contract)).toEqual([{ key: "a", keySeq: 1, reason: "crash_loop" }]);
  expect(await failuresOf(contract)).toHaveLength(0);
});

test("a message that waits for its turn is not begun, however often it comes", async () => {
  const contract = toys({ maxAttempts: 1 });
  const { deliver } = consumerOf(contract);
  const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  for (let delivery = 1; delivery <= 12; delivery++) expect((await deliver(two, delivery)).kind).toBe("nak");
  expect(await failuresOf(contract)).toHaveLength(0);
  await deliver(one);
  expect(await deliver(two, 13)).toEqual({ kind: "ack" });
  expect(await effectsOf(contract, "a")).toEqual([1, 2]);
  expect(await failuresOf(contract)).toHaveLength(0);
});

test("a statement that outlives its handler's time ends with it", async () => {
  // Enough for the statements before that one, on a machine that stalls.
  const contract = toys({ handlerTimeout: { seconds: 2n } });
  const { deliver } = consumerOf(contract, async (tx) => {
    await tx`SELECT pg_sleep(600), 'the long one'`;
  });
  const [one] = messagesOf("a", 1) as [ToyMessage];
  // The rollback waits for the statement: without a bound, for the pool's.
  expect((await deliver(one)).kind).toBe("nak");
  const running = await sql`
    SELECT 1 FROM pg_stat_activity
    WHERE state = 'active' AND query LIKE '%the long one%' AND pid <> pg_backend_pid()`;
  expect(running).toHaveLength(0);
  expect(await failuresOf(contract)).toMatchObject([{ attempts: 1 }]);
});

test("a session that hangs in a handler is ended, so that another consumer gets the key", async () => {
  const contract = toys();
  const { deliver, processing } = consumerOf(contract);
  const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  await deliver(one);
  // What a process does that is stopped in its handler: nothing, with the key in its hands.
  const [holds, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const hanging = transaction(sql, async (tx) => {
    await boundTransaction(tx, 2_000);
    await tx`UPDATE inbox_cursor SET last_seq = 2 WHERE consumer = ${contract.consumer} AND key = 'a'`;
    holds.resolve();
    await goesOn.promise;
  }).then(
    () => "committed",
    () => "rolled back",
  );
  await holds.promise;
  // One that does not wait for so long has made no attempt.
  const hasty = { ...processing, contract: { ...processing.contract, handlerTimeoutMs: 200 } };
  const message = toyMessage(contract, two);
  expect((await processMessage(hasty, message, readEnvelope(message.headers), never)).kind).toBe("nak");
  expect((await deliver(two)).kind).toBe("ack");
  goesOn.resolve();
  expect(await hanging).toBe("rolled back");
  expect(await effectsOf(contract, "a")).toEqual([1, 2]);
  expect(await failuresOf(contract)).toHaveLength(0);
});

test("a replay begins a trace of its own, which links to that of its event and is sampled as it was", async () => {
  const contract = toys({ ordering: Ordering.NONE });
  const spans: SpanInit[] = [];
  const works: (Trace | undefined)[] = [];
  const { processing } = consumerOf(contract, async () => void works.push(currentWork()?.trace));
  const startSpan = (init: SpanInit) => {
    spans.push(init);
    return { event() {}, end() {} };
  };
  const [sampled, unsampled] = [childOf(undefined, () => true), childOf(undefined)];
  const deliver = (sent: Trace, replay?: Replay) => {
    const message = toyMessage(contract, { key: "a", keySeq: 1, seq: 1, prevSeq: 0 });
    message.headers?.set("traceparent", formatTraceparent(sent));
    return processMessage(
      { ...processing, startSpan },
      message,
      readEnvelope(message.headers),
      never,
      replay,
    );
  };
  const replay: Replay = { action: "retry", deaths: 1, stream: contract.stream, isPastLost: false };
  await deliver(sampled);
  await deliver(sampled, replay);
  await deliver(unsampled, replay);
  expect(spans).toMatchObject([
    { trace: { traceId: sampled.traceId }, parent: sampled, links: [] },
    { parent: undefined, links: [sampled] },
  ]);
  expect(spans.map(({ trace }) => trace)).toEqual(works.slice(0, 2));
  expect(new Set([sampled, unsampled, ...works.slice(1)].map((trace) => trace?.traceId)).size).toBe(4);
});

test("a replayed event whose turn does not come goes back to the dead letters", async () => {
  const contract = toys();
  const broken = consumerOf(contract, async () => {
    throw new PermanentError("never");
  });
  const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  for (const toy of [one, two]) await broken.deliver(toy);
  const { processing } = consumerOf(contract);
  const replay: Replay = { action: "retry", deaths: 1, stream: contract.stream, isPastLost: false };
  const deliver = (deliveries: number) => {
    const message = toyMessage(contract, two, deliveries);
    return processMessage(processing, message, readEnvelope(message.headers), never, replay);
  };
  expect((await deliver(100)).kind).toBe("nak");
  expect(await deliver(101)).toEqual({ kind: "ack" });
  expect(await deliver(102)).toEqual({ kind: "ack" });
  expect((await deadOf(contract)).map(({ keySeq, reason }) => [keySeq, reason])).toEqual([
    [1, "permanent"],
    [2, "blocked"],
    [2, "blocked"],
  ]);
});

test("a letter says who is dead before it, what went wrong first, and where that was", async () => {
  const contract = toys({ maxAttempts: 2 });
  const { deliver } = consumerOf(contract, async () => {
    throw new Error("not today");
  });
  const [one, two] = messagesOf("a", 2) as [ToyMessage, ToyMessage];
  await deliver(one);
  const [failure] = await sql`
    SELECT first_failed_at FROM inbox_failure WHERE consumer = ${contract.consumer}`;
  await deliver(one, 2);
  await deliver(two);
  const letters = await sql`
    SELECT headers FROM outbox WHERE stream = 'DLQ' AND subject LIKE ${`dlq.${contract.aggregate}.%`} ORDER BY id`;
  expect(letters.map(({ headers }) => headers)).toMatchObject([
    {
      "dlq-reason": "exhausted",
      "dlq-attempts": "2",
      "dlq-first-failed-at": failure?.first_failed_at.toISOString(),
      "dlq-instance": "toy-1",
      "dlq-build": expect.stringMatching(/^\d+\.\d+\.\d+/),
    },
    { "dlq-reason": "blocked", "dlq-attempts": "0", "dlq-blocked-by": one.eventId },
  ]);
});

// What a history may hold, by seed.
type Fate = "fine" | "permanent" | "twice" | "unknown";

interface History {
  readonly contract: Toys;
  readonly messages: readonly (ToyMessage & { readonly fate: Fate })[];
  readonly firstSeq: number;
}

function historyOf(chances: Random, onDead: OnDead, onUnknownType: OnUnknownType): History {
  const contract = toys({ onDead, onUnknownType, maxAttempts: 4 });
  const lastOf = new Map<string, { keySeq: number; seq: number }>();
  const messages = Array.from({ length: 8 + chances.below(10) }, (_, i) => {
    const key = chances.pick(["a", "b", "c"]);
    const before = lastOf.get(key);
    const place = { keySeq: (before?.keySeq ?? 0) + 1, seq: i + 1 };
    lastOf.set(key, place);
    const fate: Fate = chances.chance(0.7)
      ? "fine"
      : chances.pick(["permanent", "twice", "unknown"] as const);
    const event = fate === "unknown" ? ("Painted" as const) : ("Moved" as const);
    return { key, ...place, prevSeq: before?.seq ?? 0, fate, event, eventId: newId() };
  });
  // Some consumers come late: then the stream begins somewhere in the middle.
  const firstSeq = chances.chance(0.4) ? 1 + chances.below(messages.length) : 1;
  return { contract, messages: messages.filter(({ seq }) => seq >= firstSeq), firstSeq };
}

/** What must come of it, told without any of the code that is tested. */
function expectedOf({ messages }: History, key: string, parks: boolean, unknownDies: boolean) {
  const effects: number[] = [];
  const dead: number[] = [];
  for (const { keySeq, fate } of messages.filter((each) => each.key === key)) {
    const dies = fate === "permanent" || (fate === "unknown" && unknownDies);
    if (dies || (parks && dead.length > 0)) dead.push(keySeq);
    else if (fate !== "unknown") effects.push(keySeq);
  }
  return { effects, dead };
}

/**
 * Delivers like a broker at its worst, to two consumers at the same time: in any order, again though it is being
 * handled, again though it was acknowledged.
 */
async function play({ contract, messages, firstSeq }: History, chances: Random): Promise<void> {
  const failed = new Map<number, number>();
  const consumers = [0, 1].map(() => {
    const { deliver, stream } = consumerOf(contract, async (_tx, { toyId, n }) => {
      const message = messages.find((each) => each.key === toyId && each.keySeq === n);
      if (message?.fate === "permanent") throw new PermanentError("never");
      const times = failed.get(message?.seq ?? 0) ?? 0;
      if (message?.fate === "twice" && times < 2) {
        failed.set(message.seq, times + 1);
        throw new Error("not now");
      }
    });
    stream.firstSeq = firstSeq;
    return deliver;
  });
  const open = new Map(messages.map((message) => [message.seq, { message, count: 0 }]));
  for (let turn = 0; open.size > 0; turn++) {
    if (turn > 3_000) throw new Error(`stuck at ${JSON.stringify([...open.keys()])}`);
    const batch = chances.shuffled([...open.values()]).slice(0, 1 + chances.below(3));
    if (chances.chance(0.2)) batch.push(batch[0] as (typeof batch)[0]);
    await Promise.all(
      batch.map(async (entry) => {
        const answer = await (chances.pick(consumers) as (typeof consumers)[0])(entry.message, ++entry.count);
        if (answer.kind === "ack" && !chances.chance(0.15)) open.delete(entry.message.seq);
      }),
    );
  }
}

const modes = [
  { name: "parked", onDead: OnDead.PARK_KEY, onUnknownType: OnUnknownType.ADVANCE },
  { name: "parked, unknown types too", onDead: OnDead.PARK_KEY, onUnknownType: OnUnknownType.DEAD_LETTER },
  { name: "skipped", onDead: OnDead.SKIP, onUnknownType: OnUnknownType.ADVANCE },
  { name: "skipped, unknown types too", onDead: OnDead.SKIP, onUnknownType: OnUnknownType.DEAD_LETTER },
];
const HISTORIES = 15;
test.each(modes)("any history ends with each effect once and in order, dead letters $name", async (mode) => {
  const parks = mode.onDead === OnDead.PARK_KEY;
  const unknownDies = mode.onUnknownType === OnUnknownType.DEAD_LETTER;
  const one = async (seed: number) => {
    const chances = random(seed);
    const history = historyOf(chances, mode.onDead, mode.onUnknownType);
    await play(history, chances);
    const deadLetters = await deadOf(history.contract);
    for (const key of ["a", "b", "c"]) {
      const { effects, dead } = expectedOf(history, key, parks, unknownDies);
      expect([seed, key, ...(await effectsOf(history.contract, key))]).toEqual([seed, key, ...effects]);
      const letters = deadLetters.filter((letter) => letter.key === key).map(({ keySeq }) => keySeq);
      expect([seed, key, ...letters]).toEqual([seed, key, ...dead]);
    }
  };
  const seeds = Array.from({ length: HISTORIES }, (_, i) => i + 1);
  for (let i = 0; i < seeds.length; i += 5) await Promise.all(seeds.slice(i, i + 5).map(one));
});
