import { type ConnectRouter, createClient, type Transport } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import { type Item, ItemService, LISTED, STREAM_TIMEOUT_MS, TIMEOUT_MS } from "./contract.ts";
import type { Chat, Client } from "./peer.ts";

/** The service, for whatever serves a router of Connect. */
export function routes(router: ConnectRouter): ConnectRouter {
  return router.service(ItemService, {
    echo: ({ id, n, tags }) => ({ id, n, tags }),
    async *list({ count }) {
      for (let i = 0; i < count; i++) yield { ...LISTED, tags: [...LISTED.tags] };
    },
    async *chat(items) {
      for await (const { id, n, tags } of items) yield { id, n, tags };
    },
  });
}

/** Connect's client over a transport. */
export function clientOver(transport: Transport): Required<Omit<Client, "close">> {
  const client = createClient(ItemService, transport);
  return {
    echo: ({ id, n, tags }) => client.echo({ id, n, tags: tags as string[] }, { timeoutMs: TIMEOUT_MS }),
    async list(count) {
      let came = 0;
      for await (const _ of client.list({ count }, { timeoutMs: STREAM_TIMEOUT_MS })) came++;
      return came;
    },
    chat(): Chat {
      const said = createWritableIterable<Mutable<Item>>();
      const ended = new AbortController();
      const answers = client.chat(said, { signal: ended.signal })[Symbol.asyncIterator]();
      return {
        async say({ id, n, tags }) {
          const next = answers.next();
          // Fails with the stream, of which the answer tells.
          said.write({ id, n, tags: [...tags] }).catch(() => {});
          const { value, done } = await next;
          if (done) throw new Error("the stream has ended");
          return value;
        },
        close() {
          said.close();
          ended.abort();
        },
      };
    },
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
