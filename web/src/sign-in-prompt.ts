import { Store } from "./store.ts";

/** Asks the customer to sign in, for whatever call needs it. */
export class SignInPrompt {
  /** True while the customer is asked. */
  readonly isOpen = new Store(false);
  #asked: PromiseWithResolvers<string | undefined> | undefined;

  /** Resolves with a token; undefined if the customer would rather not. Calls that ask at the same time share one answer. */
  readonly ask = (): Promise<string | undefined> => {
    this.#asked ??= Promise.withResolvers();
    this.isOpen.set(true);
    return this.#asked.promise;
  };

  /** The customer has signed in, or would rather not. */
  answer(accessToken: string | undefined): void {
    this.#asked?.resolve(accessToken);
    this.#asked = undefined;
    this.isOpen.set(false);
  }
}
