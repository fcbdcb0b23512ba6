/** The answers of a stream, of which one at a time is waited for. */
export interface Answers<T> {
  /** The next. Rejects if the stream fails, or has. */
  next(): Promise<T>;
  came(answer: T): void;
  failed(error: unknown): void;
}

/** For streams that tell what comes by events. */
export function answersOf<T>(): Answers<T> {
  let waiting: PromiseWithResolvers<T> | undefined;
  let failure: { readonly error: unknown } | undefined;
  return {
    next() {
      if (failure) return Promise.reject(failure.error);
      waiting = Promise.withResolvers<T>();
      return waiting.promise;
    },
    came: (answer) => waiting?.resolve(answer),
    failed(error) {
      failure = { error };
      waiting?.reject(error);
    },
  };
}
