import { useSyncExternalStore } from "react";

/** A value that components follow. */
export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  readonly get = (): T => this.#value;

  set(value: T): void {
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` at each change; returns what ends that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}

/** The value of a store, and again at each change. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/**
 * A store whose value stays in the browser, and is the same in all tabs that share the storage. What is there and is none of
 * ours, as `parse` says by undefined, is forgotten.
 */
export function keptStore<T>(
  storage: Storage,
  key: string,
  parse: (kept: unknown) => T | undefined,
  otherwise: T,
): Store<T> {
  const store = new Store(read(storage.getItem(key), parse) ?? otherwise);
  store.subscribe(() => {
    const value = store.get();
    if (value === undefined) storage.removeItem(key);
    else storage.setItem(key, JSON.stringify(value));
  });
  globalThis.addEventListener?.("storage", (event) => {
    if (event.storageArea === storage && event.key === key)
      store.set(read(event.newValue, parse) ?? otherwise);
  });
  return store;
}

function read<T>(text: string | null, parse: (kept: unknown) => T | undefined): T | undefined {
  try {
    return text === null ? undefined : parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
