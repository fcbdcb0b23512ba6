import { ErrorCode } from "./error-code.ts";
import { FuzzSide } from "./fuzz-side.ts";
import { FuzzRandom } from "./hpack/fuzz-random.ts";

/** What became of the cases, so that a run which tried nothing is seen. */
export interface FrameFuzzTally {
  connections: number;
  /** Connections that ended with GOAWAY and a fault of their peer's, and those of peers that did too much. */
  faults: number;
  calmed: number;
  /** Connections that were closed without a fault. */
  closed: number;
  streams: number;
  /** Streams that the peer, or the end of the connection, cut short, and those that we did. */
  failed: number;
  left: number;
  resets: number;
}

/**
 * Feeds servers and clients, in turns, with so many sequences of frames that are valid, damaged or mere noise, cut anywhere.
 * Fails if anything but HTTP/2 comes back, an error is ours, a count of what is held is wrong or above its bound, or anything
 * is left of a connection that has ended. The same seed gives the same cases.
 */
export async function fuzzFrames({
  seed,
  cases,
}: {
  readonly seed: number;
  readonly cases: number;
}): Promise<FrameFuzzTally> {
  const random = new FuzzRandom(seed);
  const tally: FrameFuzzTally = {
    connections: 0,
    faults: 0,
    calmed: 0,
    closed: 0,
    streams: 0,
    failed: 0,
    left: 0,
    resets: 0,
  };
  let side: FuzzSide | undefined;
  for (let number = 0; number < cases; number++) {
    try {
      side ??= new FuzzSide(random, tally.connections++ % 2 === 0);
      await side.step();
      if (!side.isClosed && !random.oneIn(80) && number < cases - 1) continue;
      count(side, tally);
      await side.end();
      side = undefined;
    } catch (cause) {
      throw new Error(`case ${number} of seed ${seed}: ${(cause as Error).message}`, { cause });
    }
  }
  return tally;
}

function count({ output, streams, isClosed }: FuzzSide, tally: FrameFuzzTally): void {
  if (output.goaway === ErrorCode.ENHANCE_YOUR_CALM) tally.calmed++;
  else if (output.goaway) tally.faults++;
  else if (isClosed) tally.closed++;
  tally.streams += streams.length;
  tally.failed += streams.filter(({ hasFailed }) => hasFailed).length;
  tally.left += streams.filter(({ hasLeft }) => hasLeft).length;
  tally.resets += output.resets;
}
