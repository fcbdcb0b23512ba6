import { Code, type Interceptor } from "@connectrpc/connect";
import { codeOf, isCoded, OK } from "./status.ts";

type Next = ReturnType<Interceptor>;
type Request = Parameters<Next>[0];

/** Told once how a call ended: its code, and what was thrown if anything was. */
export type Ended = (code: number, error?: unknown) => void;

/**
 * Makes a call and tells how it ended: a unary call with its answer, a stream with its last message, with an error, or
 * when its caller leaves, by its signal or by its iterator. A stream that nobody reads or leaves never ends.
 */
export async function watchCall(
  next: Next,
  request: Request,
  ended: Ended,
): Promise<Awaited<ReturnType<Next>>> {
  try {
    const response = await next(request);
    if (response.stream)
      return { ...response, message: watchMessages(response.message, request.signal, ended) };
    ended(OK);
    return response;
  } catch (error) {
    ended(codeOf(error), error);
    throw error;
  }
}

function watchMessages<T>(messages: AsyncIterable<T>, signal: AbortSignal, ended: Ended): AsyncIterable<T> {
  let isOver = false;
  const over: Ended = (code, error) => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", left);
    ended(code, error);
  };
  // Connect asks for no more messages then, and says nothing to the iterator.
  const left = () => (isCoded(signal.reason) ? over(signal.reason.code, signal.reason) : over(Code.Canceled));
  signal.addEventListener("abort", left);
  if (signal.aborted) left();

  const watched = async (step: Promise<IteratorResult<T>>) => {
    try {
      const result = await step;
      if (result.done) over(OK);
      return result;
    } catch (error) {
      over(codeOf(error), error);
      throw error;
    }
  };
  // Not a generator: one that is left before it is first asked would not know.
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next: () => watched(iterator.next()),
        async return(value) {
          over(Code.Canceled);
          return (await iterator.return?.(value)) ?? { done: true, value };
        },
        async throw(error) {
          over(codeOf(error), error);
          if (iterator.throw) return iterator.throw(error);
          throw error;
        },
      };
    },
  };
}
