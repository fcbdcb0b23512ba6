/**
 * What all peers of a process together make it hold, so that many of them cannot take what each of them may. Beyond
 * `maxBytes` each still has its share: nobody is left without because others take much.
 */
export class HeldBytes {
  readonly #maxBytes: number;
  #bytes = 0;

  /** Defaults to 256 MiB. */
  constructor(maxBytes: number = 2 ** 28) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether so many more may be held for a peer for which so many are held already. */
  allows(more: number, already: number): boolean {
    return this.#bytes + more <= this.#maxBytes || already + more <= SHARE_BYTES;
  }

  /** Counts more, or less. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }
}

/** What a connection may always make us hold. */
const SHARE_BYTES = 2 ** 20;
