import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { isQuiet, messagesOf } from "../testing/toy-calls.ts";
import { type IdleTimer, idleTimer, NO_IDLE_TIMER, touching, untilLost } from "./stream-watch.ts";

describe("an idle timer", () => {
  /** A timer of 100 ms, and when it said that nothing happened. */
  function watched(idleMs = 100) {
    const clock = manualClock();
    const idle: number[] = [];
    return { clock, idle, timer: idleTimer(clock, idleMs, () => void idle.push(clock.now())) };
  }

  test("says so once nothing has happened for so long, and once only", () => {
    const { clock, idle } = watched();
    clock.advance(99);
    expect(idle).toEqual([]);
    clock.advance(1);
    clock.advance(1_000);
    expect(idle).toEqual([100]);
  });

  test("begins anew with each message", () => {
    const { clock, idle, timer } = watched();
    for (let n = 0; n < 5; n++) {
      clock.advance(90);
      timer.touch();
    }
    clock.advance(99);
    expect(idle).toEqual([]);
    clock.advance(1);
    expect(idle).toEqual([550]);
  });

  test("does not hurry a reader who has not asked for more", () => {
    const { clock, idle, timer } = watched();
    clock.advance(50);
    timer.pause();
    clock.advance(1_000);
    clock.advance(60);
    expect(idle).toEqual([]);
    timer.resume();
    clock.advance(40);
    clock.advance(59);
    expect(idle).toEqual([]);
    clock.advance(1);
    expect(idle).toEqual([1_210]);
  });

  test("that is stopped says nothing, and leaves no timer", async () => {
    const { clock, idle, timer } = watched();
    clock.advance(50);
    timer.touch();
    clock.advance(50);
    timer.stop();
    expect(await isQuiet(clock)).toBe(true);
    clock.advance(1_000);
    expect(idle).toEqual([]);
  });

  test("for ever is none", async () => {
    const { clock, timer } = watched(Number.POSITIVE_INFINITY);
    expect(timer).toBe(NO_IDLE_TIMER);
    expect(await isQuiet(clock)).toBe(true);
  });
});

/** Notes what it is told. */
function notes() {
  const seen: string[] = [];
  const idle: IdleTimer = {
    touch: () => void seen.push("touch"),
    pause: () => void seen.push("pause"),
    resume: () => void seen.push("resume"),
    stop: () => void seen.push("stop"),
  };
  return { seen, idle };
}

test("each message that goes out is noticed, before it goes", async () => {
  const { seen, idle } = notes();
  for await (const message of touching(messagesOf(["a", "b"]), idle)) seen.push(message);
  expect(seen).toEqual(["touch", "a", "touch", "b"]);
});

describe("a stream that may be lost", () => {
  /** The stream around these messages. */
  function watched(messages: AsyncIterable<string>) {
    const { seen, idle } = notes();
    let ends = 0;
    let lose: (error: unknown) => void = () => {};
    const stream = untilLost(
      messages,
      idle,
      () => void ends++,
      (onLost) => {
        lose = onLost;
      },
    );
    return { seen, stream, ends: () => ends, lose: (error: unknown) => lose(error) };
  }
  const silent = (onReturn = () => {}): AsyncIterable<string> => ({
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      async return() {
        onReturn();
        return { done: true, value: undefined };
      },
    }),
  });
  const lost = new Error("lost");

  test("gives its messages as they are, and ends once", async () => {
    const { stream, ends } = watched(messagesOf(["a", "b"]));
    expect(await Array.fromAsync(stream)).toEqual(["a", "b"]);
    expect(ends()).toBe(1);
  });

  test("is not idle while its reader is at work", async () => {
    const { stream, seen } = watched(messagesOf(["a"]));
    for await (const message of stream) seen.push(message);
    expect(seen).toEqual(["touch", "pause", "a", "resume"]);
  });

  test("fails as its messages do", async () => {
    const { stream, ends } = watched(messagesOf(["a"], lost));
    expect((await stream.next()).value).toBe("a");
    await expect(stream.next()).rejects.toBe(lost);
    expect(ends()).toBe(1);
  });

  test("ends its waiting reader when it is lost, though the transport never ends, and leaves the transport", async () => {
    let left = 0;
    const { stream, lose, ends } = watched(silent(() => void left++));
    const reading = stream.next();
    lose(lost);
    await expect(reading).rejects.toBe(lost);
    expect([ends(), left]).toEqual([1, 1]);
  });

  test("that is lost before anybody reads fails its first reader", async () => {
    const { stream, lose } = watched(messagesOf(["a"]));
    lose(lost);
    await expect(stream.next()).rejects.toBe(lost);
  });

  test("that is lost between two messages fails the next reader, though one is there", async () => {
    const { stream, lose } = watched(messagesOf(["a", "b"]));
    await stream.next();
    lose(lost);
    await expect(stream.next()).rejects.toBe(lost);
  });

  test("whose reader leaves is left, and its transport is not waited for", async () => {
    let left = 0;
    const messages: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: "a" }),
        return() {
          left++;
          return new Promise(() => {});
        },
      }),
    };
    const { stream, ends } = watched(messages);
    for await (const _ of stream) break;
    expect([ends(), left]).toEqual([1, 1]);
  });
});
