/**
 * Says that a call never left, because nobody listens where it should go. It stands among the causes of the call's
 * UNAVAILABLE: only a transport knows it, and no text of a server can pass for it.
 */
export class NotSentError extends Error {
  override readonly name = "NotSentError";
}

/** True if the call never left, so that another instance may take it. */
export function wasNotSent(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e instanceof NotSentError) return true;
  }
  return false;
}
