import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Act, InteropService } from "./contract.ts";
import { refusal } from "./refusal.ts";

/** The server's half of every peer in TypeScript. */
export function interopService(): ServiceImpl<typeof InteropService> {
  let cancelled = 0;
  let open = 0;

  async function act(what: Act, { signal }: HandlerContext): Promise<void> {
    if (what === "fail") throw refusal();
    if (what !== "hang") return;
    const left = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => left.resolve(), { once: true });
    if (!signal.aborted) await left.promise;
    cancelled++;
    signal.throwIfAborted();
  }

  return {
    async unary(request, context) {
      echo(context);
      await act(request.act, context);
      const leftMs = Math.floor(context.timeoutMs() ?? 0);
      return { payload: request.payload, count: request.act === "cancelled" ? cancelled : leftMs };
    },
    async clientStream(requests) {
      let count = 0;
      let payload = new Uint8Array(0);
      for await (const request of requests) {
        count++;
        payload = new Uint8Array(request.payload);
      }
      return { payload, count };
    },
    async *serverStream(request, context) {
      echo(context);
      for (let count = 0; count < request.answers; count++) yield { payload: request.payload, count };
      await act(request.act, context);
    },
    async *bidiStream(requests, context) {
      const count = ++open;
      try {
        for await (const request of requests) {
          await act(request.act, context);
          yield { payload: request.payload, count };
        }
      } finally {
        open--;
      }
    },
  };
}

/** Says in headers and trailers what a call says in its headers, text and bytes. */
function echo({ requestHeader, responseHeader, responseTrailer }: HandlerContext): void {
  const text = requestHeader.get("x-text");
  const bytes = requestHeader.get("x-raw-bin");
  if (text === null || bytes === null) return;
  responseHeader.set("x-text", text);
  responseHeader.set("x-raw-bin", bytes);
  responseTrailer.set("x-text-end", text);
  responseTrailer.set("x-raw-end-bin", bytes);
}
