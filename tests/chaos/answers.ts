/** Which delivery of which message an answer is for, from the subject that it is sent to. */
function deliveryOf(subject: string): { seq: string; delivery: number; storedAtMs: number } {
  const [, , , , delivery, seq, , storedNs] = subject.split(".");
  if (!seq || !storedNs) throw new Error(`${subject} is no answer`);
  return { seq, delivery: Number(delivery), storedAtMs: Number(BigInt(storedNs) / 1_000_000n) };
}

/** What consumers answer the broker, and what it says of the deliveries that they did not answer. */
export class Answers {
  readonly #ackWaitMs: number;
  readonly #givenBackAtMs = new Map<string, number>();
  readonly #heldAtMs = new Map<string, number>();
  #takenBack = 0;
  #missed = 0;

  /** For a consumer whose messages the broker delivers again after `ackWaitMs`. */
  constructor(ackWaitMs: number) {
    this.#ackWaitMs = ackWaitMs;
  }

  /** How many deliveries were given back. */
  get givenBack(): number {
    return this.#givenBackAtMs.size;
  }

  /** How many deliveries came soon after one that was not answered: the broker saw by itself that nobody was there. */
  get takenBack(): number {
    return this.#takenBack;
  }

  /** How many deliveries came after one that may have been waited for until the broker's patience was over. */
  get missed(): number {
    return this.#missed;
  }

  /** Takes down an answer, as it was sent. */
  hear(subject: string, answer: string, atMs: number): void {
    const { seq, delivery, storedAtMs } = deliveryOf(subject);
    if (answer.startsWith("+WPI")) {
      this.#heldAtMs.set(`${seq} ${delivery}`, atMs);
      return;
    }
    if (answer.startsWith("-NAK")) this.#givenBackAtMs.set(`${seq} ${delivery}`, atMs);
    const before = `${seq} ${delivery - 1}`;
    if (delivery === 1 || this.#givenBackAtMs.has(before)) return;
    // The latest moment of which it is certain that the broker's patience with the one before had not begun.
    const sinceMs = Math.max(
      storedAtMs,
      this.#givenBackAtMs.get(`${seq} ${delivery - 2}`) ?? 0,
      this.#heldAtMs.get(before) ?? 0,
    );
    if (atMs - sinceMs < this.#ackWaitMs) this.#takenBack++;
    else this.#missed++;
  }
}
