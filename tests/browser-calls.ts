import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { resilientTransport } from "../docs/guides/in-the-browser.ts";
import { normaliseOutcomes } from "../mesh/resilience/normalise.ts";
import { outcomeOf } from "../mesh/resilience/outcome.ts";
import { toyService } from "../mesh/testing/toy-service.ts";

/** What page and server have in common: calls seldom, so that its budget must not come from their number. */
export const toys = toyService({
  service: {
    gate: { case: "retryBudget", value: { minPerSecond: 1 } },
    // Longer than the test.
    breaker: { consecutive: 5, openBase: durationFromMs(600_000), openMax: durationFromMs(600_000) },
  },
});

/** What a page saw. */
export interface Seen {
  /** The answer to a call whose first two attempts fail. */
  readonly answer: string;
  /** The reasons why six calls failed of a method that always fails, and that is not safe to repeat. */
  readonly refusals: readonly string[];
  /** How a call ended to where nobody listens. */
  readonly away: string;
}

/** Makes the calls of a page, in Node and in a browser alike. */
export async function makeCalls(serverUrl: string, nobodyUrl: string): Promise<Seen> {
  const client = createClient(toys, resilientTransport(serverUrl));
  const { text: answer } = await client.ask({ text: "hello" });
  const refusals: string[] = [];
  for (let call = 0; call < 6; call++) {
    await client.order({}).catch((error) => refusals.push(outcomeOf(error).reason ?? "none"));
  }
  const interceptors = [normaliseOutcomes()];
  const nobody = createClient(toys, createConnectTransport({ baseUrl: nobodyUrl, interceptors }));
  const away = await nobody.order({}).then(
    () => "answered",
    (error) => `${error.message}, ${outcomeOf(error).kind}`,
  );
  return { answer, refusals, away };
}
