import { raceSignal } from "../core/race.ts";

/** Lets those who ask the same thing at the same time share one answer. */
export interface SingleFlight<T> {
  /**
   * The answer of the flight of this key, begun now if there is none. A caller whose signal aborts leaves; the flight
   * is given up when all have left. `isOwn` tells whether this caller began it.
   */
  join(
    key: string,
    signal: AbortSignal,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ value: T; isOwn: boolean }>;
}

/** What a caller that joined a flight is told when the flight failed. */
export class SharedFailure extends Error {
  override readonly name = "SharedFailure";
}

interface Flight<T> {
  readonly answer: Promise<T>;
  readonly controller: AbortController;
  riders: number;
}

/** Flights by key. */
export function singleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>();
  return {
    async join(key, signal, begin) {
      let flight = flights.get(key);
      const isOwn = flight === undefined;
      if (!flight) {
        const controller = new AbortController();
        const begun: Flight<T> = { answer: begin(controller.signal), controller, riders: 0 };
        const land = () => {
          if (flights.get(key) === begun) flights.delete(key);
        };
        begun.answer.then(land, land);
        flights.set(key, begun);
        flight = begun;
      }
      flight.riders++;
      try {
        return { value: await raceSignal(flight.answer, signal), isOwn };
      } catch (error) {
        if (isOwn || signal.aborted) throw error;
        throw new SharedFailure("the flight that this call joined failed", { cause: error });
      } finally {
        flight.riders--;
        // A new caller begins a flight of its own.
        if (flight.riders === 0 && flights.get(key) === flight) {
          flights.delete(key);
          flight.controller.abort(signal.reason);
        }
      }
    },
  };
}
