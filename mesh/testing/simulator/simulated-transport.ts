import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextValues,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { formatGrpcTimeout } from "../../core/grpc-timeout.ts";
import type { ClosableTransport } from "../../rpc/client/transport.ts";
import type { SimulatedServer } from "./simulated-server.ts";

/**
 * The way to a simulated server, over a network that takes no time. It ends when its signal aborts or its time is over,
 * and the server is told: whether that stops the work is the server's business.
 */
export function simulatedTransport(server: SimulatedServer, clock: Clock): ClosableTransport {
  return {
    unary(method, signal, timeoutMs, header, input) {
      const headers = new Headers(header);
      if (timeoutMs !== undefined) headers.set("grpc-timeout", formatGrpcTimeout(timeoutMs));
      const gone = new AbortController();
      const request: UnaryRequest<typeof method.input, typeof method.output> = {
        stream: false,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: "http://simulation",
        signal: gone.signal,
        header: headers,
        contextValues: createContextValues(),
        message: create(method.input, input),
      };

      return new Promise((resolve, reject) => {
        const end = () => {
          cancelTimer();
          signal?.removeEventListener("abort", leave);
        };
        const lose = (error: ConnectError) => {
          end();
          reject(error);
          gone.abort(error);
        };
        const leave = () => lose(ConnectError.from(signal?.reason, Code.Canceled));
        const cancelTimer =
          timeoutMs === undefined
            ? () => {}
            : clock.after(timeoutMs, () => lose(new ConnectError("not in time", Code.DeadlineExceeded)));
        signal?.addEventListener("abort", leave, { once: true });
        if (signal?.aborted) return leave();
        server.answer(request as unknown as UnaryRequest).then(
          (response) => {
            end();
            resolve(response as unknown as UnaryResponse<typeof method.input, typeof method.output>);
          },
          (error) => {
            end();
            reject(error);
          },
        );
      });
    },
    stream() {
      throw new Error("a simulated server answers unary calls only");
    },
    close() {},
  };
}
