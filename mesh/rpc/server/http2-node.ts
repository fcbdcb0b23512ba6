import * as http2 from "node:http2";
import { connectionAge, retire } from "./connection-age.ts";
import type { Http2Side, Http2SideOptions } from "./http2-side.ts";
import { passOverRest } from "./unread-rest.ts";

/** HTTP/2 by node:http2. */
export function nodeHttp2(options: Http2SideOptions): Http2Side {
  const age = connectionAge(options, options.clock, options.random);
  const server = http2.createServer(
    { settings: { maxConcurrentStreams: 1_000, maxHeaderListSize: 32_768 } },
    (request, response) => {
      passOverRest(request, response);
      options.handler(request, response);
    },
  );
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    age.watch(session);
    session.once("close", () => sessions.delete(session));
    // A broken peer is no concern of the others; its calls end through their own signals.
    session.on("error", () => session.destroy());
  });
  return {
    take(socket, seen) {
      // It reads what was put back.
      socket.pause();
      socket.unshift(seen);
      server.emit("connection", socket);
    },
    drain() {
      for (const session of sessions) retire(session);
    },
    destroy() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}
