/**
 * Does work for many at once: what comes while a batch is worked on makes up the next one, `most` at most, in the order
 * in which it came. `work` resolves with an answer for each item, or the promise of one, which the next batch does not
 * wait for; if it rejects, it does so for all of them.
 */
export function inBatches<T, R>(
  most: number,
  work: (items: readonly T[]) => Promise<readonly (R | Promise<R>)[]>,
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
        const answers = await work(batch.map(({ item }) => item));
        batch.forEach(({ answer }, at) => {
          answer.resolve(answers[at] as R | Promise<R>);
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
