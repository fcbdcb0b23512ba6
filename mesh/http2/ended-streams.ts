const MAX_REMEMBERED = 1_000;

/**
 * The streams that this side has ended before its time: what was on its way then still comes, and is nobody's fault (RFC 9113,
 * section 5.1). It remembers the last 1,000, and is lenient with all that are older.
 */
export class EndedStreams {
  readonly #ids = new Set<number>();
  /** Of those that are not remembered any more, the last. */
  #forgottenUpTo = 0;

  add(streamId: number): void {
    this.#ids.add(streamId);
    if (this.#ids.size <= MAX_REMEMBERED) return;
    const [oldest = 0] = this.#ids;
    this.#ids.delete(oldest);
    this.#forgottenUpTo = Math.max(this.#forgottenUpTo, oldest);
  }

  /** False only if it was certainly not ended by this side. */
  mayHave(streamId: number): boolean {
    return this.#ids.has(streamId) || streamId <= this.#forgottenUpTo;
  }
}
