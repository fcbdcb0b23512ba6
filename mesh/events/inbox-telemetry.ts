import type { Clock } from "../core/clock.ts";
import { type Meter, noMetrics } from "../telemetry/metrics.ts";
import type { DeadReason } from "./dead-letter.ts";

/** How a message failed, without becoming a dead letter yet. */
export type FailureClass = "transient" | "conflict" | "infrastructure";

// More would be an outage of its own, and the oldest is among the first.
const MOST_WAITING = 10_000;

/** Counts what becomes of the messages of one consumer, until it is closed. */
export class InboxTelemetry {
  readonly #meter: Meter;
  readonly #attributes: { readonly consumer: string };
  readonly #clock: Clock;
  /** Since when events wait for those before them, the oldest first. */
  readonly #waiting = new Map<string, number>();
  #inflight = 0;
  readonly #endGauges: (() => void)[];

  constructor(consumer: string, clock: Clock, meter: Meter = noMetrics) {
    this.#meter = meter;
    this.#attributes = { consumer };
    this.#clock = clock;
    const attributes = this.#attributes;
    this.#endGauges = [
      meter.gauge("mesh.inbox.gap.oldest_age", () => [{ value: this.#oldestGapMs() / 1_000, attributes }]),
      meter.gauge("mesh.handler.inflight", () => [{ value: this.#inflight, attributes }]),
    ];
  }

  /** An event waits for those of its key before it. */
  waits(eventId: string): void {
    this.#meter.count("mesh.inbox.gaps", this.#attributes);
    if (this.#waiting.has(eventId) || this.#waiting.size >= MOST_WAITING) return;
    this.#waiting.set(eventId, this.#clock.now());
  }

  /** A message was handled; `time` is when it happened, as its envelope says. */
  handled(eventId: string, time: string): void {
    this.#waiting.delete(eventId);
    const ageMs = this.#clock.date().getTime() - Date.parse(time);
    this.#meter.record("mesh.consumer.lag", Math.max(0, ageMs) / 1_000, this.#attributes);
  }

  /** A message came though it was done with. */
  duplicate(eventId: string): void {
    this.#waiting.delete(eventId);
    this.#meter.count("mesh.inbox.duplicates", this.#attributes);
  }

  /** A key was begun with what the stream still has of it. */
  baseline(): void {
    this.#meter.count("mesh.inbox.baselines", this.#attributes);
  }

  failed(failure: FailureClass): void {
    this.#meter.count("mesh.handler.failures", { ...this.#attributes, class: failure });
  }

  died(eventId: string, reason: DeadReason): void {
    this.#waiting.delete(eventId);
    this.#meter.count("mesh.inbox.dead_letters", { ...this.#attributes, reason });
  }

  /** Measures how long a handler runs. */
  async running<T>(type: string, run: () => Promise<T>): Promise<T> {
    const from = this.#clock.now();
    this.#inflight++;
    try {
      return await run();
    } finally {
      this.#inflight--;
      const seconds = (this.#clock.now() - from) / 1_000;
      this.#meter.record("mesh.handler.duration", seconds, { ...this.#attributes, type });
    }
  }

  close(): void {
    for (const end of this.#endGauges) end();
  }

  #oldestGapMs(): number {
    const [since] = this.#waiting.values();
    return since === undefined ? 0 : this.#clock.now() - since;
  }
}
