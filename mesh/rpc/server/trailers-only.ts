import type { OutgoingHttpHeaders } from "node:http";
import { Http2ServerResponse } from "node:http2";
import type { RequestHandler } from "./port.ts";

type Response = Parameters<RequestHandler>[1];

/**
 * Makes an answer of gRPC that is nothing but an error leave as one block of headers (Trailers-Only). Connect writes
 * headers and trailers, and a standard gRPC client takes headers for the beginning of an answer: it does not retry what
 * has begun (gRFC A6). Headers of the handler's own are such a beginning: as trailers, their reader would not find them.
 */
export function joinTrailers(response: Response): void {
  if (!(response instanceof Http2ServerResponse)) return;
  const { write, addTrailers, end } = response;
  let held: readonly [number, OutgoingHttpHeaders] | undefined;

  function letGo(): void {
    const head = held;
    held = undefined;
    for (const name of ["writeHead", "write", "addTrailers", "end"] as const)
      Reflect.deleteProperty(response, name);
    if (head) (response as Http2ServerResponse).writeHead(...head);
  }
  Object.assign(response, {
    writeHead(status: number, headers: OutgoingHttpHeaders) {
      held = [status, headers];
      return response;
    },
    write(...args: Parameters<typeof write>) {
      letGo();
      return write.apply(response, args);
    },
    addTrailers(trailers: OutgoingHttpHeaders) {
      if (held && trailers["grpc-status"] !== "0" && saysNothing(held[1]))
        held = [held[0], { ...held[1], ...trailers }];
      else {
        letGo();
        addTrailers.call(response, trailers);
      }
    },
    end(...args: Parameters<typeof end>) {
      const [status, headers] = held ?? [];
      held = undefined;
      letGo();
      if (status !== undefined) {
        // Left for `end` to send, which closes the stream in the same frame.
        response.statusCode = status;
        for (const [name, value] of Object.entries(headers ?? {})) {
          if (value !== undefined) response.setHeader(name, value as string);
        }
      }
      return end.apply(response, args);
    },
  });
}

const OF_THE_PROTOCOL = /^(content-type|grpc-encoding|grpc-accept-encoding)$/;

/** True for headers that are the same with every answer. */
function saysNothing(headers: OutgoingHttpHeaders): boolean {
  return Object.keys(headers).every((name) => OF_THE_PROTOCOL.test(name));
}
