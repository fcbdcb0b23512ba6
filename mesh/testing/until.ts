const POLL_MS = 5;

/** Resolves with the first answer that is neither undefined nor false. Waits for a condition, as long as the test may take. */
export async function until<T>(ask: () => Promise<T> | T): Promise<Exclude<T, undefined | false>> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
