import fc from "fast-check";
import { expect, test } from "vitest";
import { settled } from "../testing/toy-calls.ts";
import { SharedFailure, singleFlight } from "./single-flight.ts";

/** Flights that a test lands by hand, in the order in which they began. */
function flying() {
  const flights = singleFlight<string>();
  const begun: (PromiseWithResolvers<string> & { readonly signal: AbortSignal })[] = [];
  const begin = (signal: AbortSignal) => {
    const flight = { ...Promise.withResolvers<string>(), signal };
    begun.push(flight);
    return flight.promise;
  };
  const join = (signal = new AbortController().signal, key = "k") => {
    const answer = flights.join(key, signal, begin);
    answer.catch(() => {});
    return answer;
  };
  return { begun, join };
}

test("those who ask the same thing at the same time share one answer", async () => {
  const { begun, join } = flying();
  const answers = [join(), join(), join()];
  expect(begun).toHaveLength(1);
  begun[0]?.resolve("yes");
  expect(await Promise.all(answers)).toEqual([
    { value: "yes", isOwn: true },
    { value: "yes", isOwn: false },
    { value: "yes", isOwn: false },
  ]);
});

test("those who ask something else do not", () => {
  const { begun, join } = flying();
  join(undefined, "a");
  join(undefined, "b");
  expect(begun).toHaveLength(2);
});

test("a flight that has landed is not joined, however it ended", async () => {
  const { begun, join } = flying();
  const first = join();
  begun[0]?.resolve("yes");
  await first;
  const second = join();
  expect(begun).toHaveLength(2);
  begun[1]?.reject(new Error("no"));
  await second.catch(() => {});
  join();
  expect(begun).toHaveLength(3);
});

test("who began a flight is told why it failed; who joined, that it was another's", async () => {
  const { begun, join } = flying();
  const own = join();
  const joined = join();
  const failure = new Error("no");
  begun[0]?.reject(failure);
  await expect(own).rejects.toBe(failure);
  const error = await joined.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SharedFailure);
  expect((error as SharedFailure).cause).toBe(failure);
});

test("who leaves is told at once; the flight goes on for the others", async () => {
  const { begun, join } = flying();
  const leaving = new AbortController();
  const own = join(leaving.signal);
  const joined = join();
  const why = new Error("gone");
  leaving.abort(why);
  await expect(own).rejects.toBe(why);
  expect(begun[0]?.signal.aborted).toBe(false);
  begun[0]?.resolve("yes");
  expect(await joined).toEqual({ value: "yes", isOwn: false });
});

test("a flight that all have left is given up, and who asks then begins one", async () => {
  const { begun, join } = flying();
  const leaving = [new AbortController(), new AbortController()];
  const answers = leaving.map(({ signal }) => join(signal));
  const why = new Error("gone");
  for (const each of leaving) each.abort(why);
  await Promise.allSettled(answers);
  expect(begun[0]?.signal.reason).toBe(why);
  join();
  expect(begun).toHaveLength(2);
  // The old one lands late; that does not end the new one.
  begun[0]?.resolve("late");
  await settled();
  const joined = join();
  expect(begun).toHaveLength(2);
  begun[1]?.resolve("new");
  expect(await joined).toEqual({ value: "new", isOwn: false });
});

test("who has left before begins nothing that goes on", async () => {
  const { begun, join } = flying();
  const answer = join(AbortSignal.abort(new Error("gone")));
  await expect(answer).rejects.toThrow("gone");
  expect(begun.every(({ signal }) => signal.aborted)).toBe(true);
});

test("there is one flight at most for a key, all who stay get its end, and an empty one is given up", async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("join" as const), key: fc.constantFrom("a", "b") }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat() }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("land" as const), which: fc.nat(), well: fc.boolean() }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      interface Flight {
        readonly key: string;
        readonly signal: AbortSignal;
        readonly answer: PromiseWithResolvers<string>;
        hasLanded: boolean;
      }
      interface Rider {
        readonly flight: Flight;
        readonly controller: AbortController;
        end?: string;
      }
      const flights = singleFlight<string>();
      const begun: Flight[] = [];
      const riders: Rider[] = [];
      const riding = (flight?: Flight) =>
        riders.filter((rider) => rider.end === undefined && (!flight || rider.flight === flight));
      const aloft = () => begun.filter((flight) => !flight.hasLanded && !flight.signal.aborted);

      for (const each of steps) {
        if (each.do === "join") {
          const { key } = each;
          const before = aloft().find((flight) => flight.key === key);
          const controller = new AbortController();
          const answer = flights.join(key, controller.signal, (signal) => {
            const flight = { key, signal, answer: Promise.withResolvers<string>(), hasLanded: false };
            begun.push(flight);
            return flight.answer.promise;
          });
          const flight = before ?? begun.at(-1) ?? expect.fail();
          const rider: Rider = { flight, controller };
          riders.push(rider);
          answer.then(
            ({ value, isOwn }) => {
              expect(isOwn).toBe(before === undefined);
              rider.end = value;
            },
            (error: Error) => {
              rider.end = error instanceof SharedFailure ? `${error.cause}` : `${error}`;
            },
          );
        } else if (each.do === "leave") {
          riding()[each.which % Math.max(1, riding().length)]?.controller.abort("left");
        } else {
          const flight = aloft()[each.which % Math.max(1, aloft().length)];
          if (flight) {
            const waited = riding(flight);
            flight.hasLanded = true;
            if (each.well) flight.answer.resolve("landed");
            else flight.answer.reject("failed");
            await settled();
            expect(waited.map(({ end }) => end)).toEqual(waited.map(() => (each.well ? "landed" : "failed")));
          }
        }
        await settled();
        expect(new Set(aloft().map(({ key }) => key)).size).toBe(aloft().length);
        for (const flight of begun.filter(({ hasLanded }) => !hasLanded)) {
          expect(flight.signal.aborted).toBe(riding(flight).length === 0);
        }
      }
    }),
    { numRuns: 60 },
  );
});
