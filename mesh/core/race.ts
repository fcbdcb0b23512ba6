/** Resolves like the promise, unless the signal aborts first: then it rejects with the signal's reason. */
export async function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Its own failure is of no interest once the race is lost.
  promise.catch(() => {});
  if (signal.aborted) throw signal.reason;
  const { promise: lost, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, lost]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
