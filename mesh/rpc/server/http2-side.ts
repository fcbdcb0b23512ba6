import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { ConnectionAgeOptions } from "./connection-age.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import type { RequestHandler } from "./port.ts";

/** What speaks HTTP/2 on a port. */
export interface Http2Side {
  /** Takes over a connection of which this has been read so far. */
  take(socket: Socket, seen: Buffer): void;
  /** Tells every peer to go; connections close when their calls are done. */
  drain(): void;
  /** Closes every connection at once. */
  destroy(): void;
}

/** What it needs. */
export interface Http2SideOptions extends ConnectionAgeOptions, ConnectionLimits {
  /** Answers what is not gRPC, and what is, where the side does not do that itself. */
  readonly handler: RequestHandler;
  readonly clock: Clock;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** Learns of each connection that ends by a fault of its peer, and which guard that was. */
  readonly onGuard?: (guard: string) => void;
}
