/** What a transport knows of a call that failed below the protocol. */
export type Delivery =
  /** It never left: nobody listens there, or the name has no address. */
  | "NOT_SENT"
  /** It left, and the other side says that it did not look at it (REFUSED_STREAM, or GOAWAY below its number). */
  | "REFUSED"
  /** It left, and the connection broke: nobody knows how far it came. */
  | "LOST";

/**
 * Says how a call failed below the protocol. It stands among the causes of the call's UNAVAILABLE: only a transport
 * knows it, and no text of a server can pass for it.
 */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly delivery: Delivery;

  constructor(delivery: Delivery, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.delivery = delivery;
  }
}

/** What the transport said about the call; undefined if it was answered. */
export function deliveryOf(error: unknown): Delivery | undefined {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e instanceof DeliveryError) return e.delivery;
  }
  return undefined;
}
