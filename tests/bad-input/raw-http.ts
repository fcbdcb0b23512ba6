import { connect } from "node:net";

/** What a server said, and how often it began to say something. */
export interface RawAnswer {
  readonly status: number;
  readonly text: string;
  /** More than one if it took what was sent for several requests. */
  readonly answers: number;
}

/** A request of HTTP/1.1, byte by byte as it is to be sent. */
export interface RawRequest {
  readonly line: string;
  /** Beside `host` and `connection: close`. */
  readonly headers?: readonly string[];
  /** Sent as it is; what it is long is a header of the request, or none. */
  readonly body?: string | Uint8Array;
  /** False if the request has no host header. */
  readonly hasHost?: boolean;
}

/** Sends bytes that no client would, and reads until the server closes the connection. */
export function sendRaw(port: number, request: RawRequest): Promise<RawAnswer> {
  const { line, headers = [], body = "", hasHost = true } = request;
  const head = [line, ...(hasHost ? ["Host: shop.example"] : []), "Connection: close", ...headers, "", ""];
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    // A server that has said enough may close while there is still something to be sent.
    socket.on("error", (error) => {
      if (parts.length === 0) reject(error);
    });
    socket.on("close", () => {
      // What asks to go on is no answer yet.
      const text = Buffer.concat(parts)
        .toString("latin1")
        .replace(/^HTTP\/1\.1 100 .*?\r\n\r\n/s, "");
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0);
      resolve({ status, text, answers: text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0 });
    });
    socket.write(head.join("\r\n"), "latin1");
    if (body.length > 0) socket.write(body);
  });
}
