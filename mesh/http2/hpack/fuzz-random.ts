/** Chance that a seed repeats, for fuzzing only. */
export class FuzzRandom {
  #state: number;

  constructor(seed: number) {
    // The generator xorshift32 never leaves 0; small seeds begin alike unless they are spread.
    this.#state = Math.imul(seed ^ 0x5bd1_e995, 0x9e37_79b1) || 1;
    for (let i = 0; i < 8; i++) this.below(1);
  }

  /** A whole number from 0 to below `count`. */
  below(count: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) % count;
  }

  /** True once in so many times. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  octets(length: number): Buffer {
    const octets = Buffer.alloc(length);
    for (let at = 0; at < length; at++) octets[at] = this.below(256);
    return octets;
  }
}
