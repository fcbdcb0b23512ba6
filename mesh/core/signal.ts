/** A signal that never aborts, for what nobody can leave. */
export const NEVER = new AbortController().signal;

/**
 * Aborts as an AbortController does, but makes its signal only when somebody asks for it: most never do, and it costs as
 * much as several layers of a call.
 */
export class LazyAbort {
  #controller: AbortController | undefined;
  #end: { readonly reason: unknown } | undefined;
  #act: (() => void) | undefined;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#end) this.#controller.abort(this.#end.reason);
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#end !== undefined;
  }

  get reason(): unknown {
    return this.#end?.reason;
  }

  /** Calls `act` when it aborts, for one who needs no signal for that. */
  onAbort(act: () => void): void {
    this.#act = act;
  }

  /** Safe to call twice; the first reason stays. */
  abort(reason: unknown): void {
    if (this.#end) return;
    this.#end = { reason };
    this.#controller?.abort(reason);
    this.#act?.();
  }
}

/**
 * Calls `act` once when the signal aborts. Returns what takes it back. {@link NEVER} is not listened to: all calls that
 * share it would search one long list for their own listener.
 */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  if (signal === NEVER) return nothing;
  signal.addEventListener("abort", act, { once: true });
  return () => signal.removeEventListener("abort", act);
}

/** Like {@link onAbort}, for either kind; a LazyAbort tells the last one who asked. */
export function onEither(ending: AbortSignal | LazyAbort, act: () => void): () => void {
  if (!(ending instanceof LazyAbort)) return onAbort(ending, act);
  ending.onAbort(act);
  return () => ending.onAbort(nothing);
}

const nothing = () => {};
