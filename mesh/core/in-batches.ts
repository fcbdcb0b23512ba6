/**
 * Does work for many at once: what comes while a batch is worked on makes up the next one, `most` at most, in the order
 * in which it came. `work` answers for each item; if it rejects, it does so for all of them.
 */
export function inBatches<T, R>(
  most: number,
  work: (items: readonly T[]) => Promise<readonly PromiseSettledResult<R>[]>,
): (item: T) => Promise<R> {
  const waiting: { readonly item: T; readonly answer: PromiseWithResolvers<R> }[] = [];
  let isWorking = false;

  async function run(): Promise<void> {
    isWorking = true;
    while (waiting.length > 0) {
      // What comes in the same turn belongs together.
      await new Promise((resolve) => setImmediate(resolve));
      const batch = waiting.splice(0, most);
      try {
        const results = await work(batch.map(({ item }) => item));
        batch.forEach(({ answer }, at) => {
          const result = results[at];
          if (result?.status === "fulfilled") answer.resolve(result.value);
          else answer.reject(result?.reason);
        });
      } catch (error) {
        for (const { answer } of batch) answer.reject(error);
      }
    }
    isWorking = false;
  }

  return (item) => {
    const answer = Promise.withResolvers<R>();
    waiting.push({ item, answer });
    if (!isWorking) void run();
    return answer.promise;
  };
}
