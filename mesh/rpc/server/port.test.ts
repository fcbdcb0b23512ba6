import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { atEnd } from "../../testing/at-end.ts";
import { listen, type PortOptions, type RequestHandler } from "./port.ts";

const HOST = "127.0.0.1";
const FOR_EVER_MS = 2 ** 31 - 1;

const sayVersion: RequestHandler = (request, response) => {
  response.setHeader("x-version", request.httpVersion);
  response.end();
};

async function listening(handler = sayVersion, options: PortOptions = { firstBytesWithinMs: FOR_EVER_MS }) {
  const port = await listen(HOST, 0, handler, options);
  atEnd(() => port.drain(0));
  return port;
}

function connected(port: number): Socket {
  const socket = connect({ host: HOST, port, noDelay: true });
  atEnd(async () => void socket.destroy());
  return socket;
}

/** Sends bytes one by one, each when the one before has left. */
async function trickle(socket: Socket, bytes: string): Promise<void> {
  for (const byte of Buffer.from(bytes, "latin1")) {
    await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
    await new Promise(setImmediate);
  }
}

describe("the first bytes decide", () => {
  test.each(["GET", "POST", "PUT", "PROPFIND"])("byte by byte, for HTTP/1.1 (%s)", async (method) => {
    const { port } = await listening();
    const socket = connected(port);
    const answer = text(socket);
    await trickle(
      socket,
      `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    expect(await answer).toMatch(/x-version: 1\.1/i);
  });

  test("byte by byte, for HTTP/2", async () => {
    const { port } = await listening();
    const socket = connected(port);
    await trickle(socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // An empty SETTINGS frame, which the server must acknowledge.
    await trickle(socket, "\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    let seen = Buffer.alloc(0);
    while (!seen.includes(Buffer.from("000000040100000000", "hex"))) {
      seen = Buffer.concat([seen, (await once(socket, "data"))[0]]);
    }
  });

  test("at once, for both side by side", async () => {
    const { port } = await listening();
    const session = connectHttp2(`http://${HOST}:${port}`);
    atEnd(async () => session.destroy());
    const [http2] = (await once(session.request(), "response")) as [IncomingHttpHeaders];
    const [http1] = (await once(get({ host: HOST, port }), "response")) as [IncomingMessage];
    expect([http2["x-version"], http1.headers["x-version"]]).toEqual(["2.0", "1.1"]);
  });
});

test.each([
  ["a preface that is none", "INVALID CONNECTION PREFACE\r\n\r\n"],
  ["TLS", "\u0016\u0003\u0001\u0002\u0000 TLS\r\n\r\n"],
  ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
])("who speaks no HTTP, but %s, is hung up on without a word", async (_, said) => {
  const { port } = await listening();
  const socket = connected(port);
  const answer = text(socket);
  socket.write(said, "latin1");
  expect(await answer).toBe("");
});

test("a body that HTTP cannot read is answered, though the bytes that it comes in alone would be no HTTP", async () => {
  const came = Promise.withResolvers<void>();
  const { port } = await listening(() => came.resolve());
  const socket = connected(port);
  const answer = text(socket);
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  await came.promise;
  socket.write("zz\r\n{}\r\n0\r\n\r\n");
  expect(await answer).toMatch(/^HTTP\/1\.1 400 /);
});

test.each(["", "P", "PRI * HTTP/2"])("a connection that says '%s' and no more is closed", async (said) => {
  const { port } = await listening(sayVersion, { firstBytesWithinMs: 20 });
  const socket = connected(port);
  if (said) socket.write(said);
  await once(socket, "close");
});

test("a connection that has said enough is not closed for being slow after that", async () => {
  // Longer than any pause of the machine: what the slow one says first must have come by then.
  const { port } = await listening(sayVersion, { firstBytesWithinMs: 1_500 });
  const slow = connected(port);
  const answer = text(slow);
  slow.write("GET / HT");
  // A later connection runs into its bound while the slow one has said enough.
  await once(connected(port), "close");
  slow.write("TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
});

test("a peer that breaks its connection harms nobody", async () => {
  const { port } = await listening();
  for (const said of [
    "",
    "PRI",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "\0\0nonsense\r\n\r\n",
  ]) {
    const socket = connected(port);
    socket.on("error", () => {});
    await once(socket, "connect");
    if (said) await new Promise((resolve) => socket.write(said, resolve));
    socket.resetAndDestroy();
  }
  const [response] = (await once(get({ host: HOST, port }), "response")) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
});

test.each([
  ["nonsense", "G\0T / HTTP/1.1\r\n\r\n", 400],
  ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
  [
    "a length and chunks",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["headers without end", `GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, 431],
])("%s is refused, with a reason, and its connection is closed", async (_, said, status) => {
  const { port } = await listening();
  const socket = connected(port);
  const answer = text(socket);
  socket.write(said);
  expect(await answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*connection: close[^]*\r\n\r\n\\w.+\n$`));
});

test("nothing is said of what comes while an answer is under way", async () => {
  const { port } = await listening((_, response) => {
    if ("assignSocket" in response) response.write("begun");
  });
  const socket = connected(port);
  const answer = text(socket);
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "data");
  socket.write("G\0T / HTTP/1.1\r\n\r\n");
  expect(await answer).not.toContain("400");
});

describe("drain", () => {
  test("closes connections that have said nothing yet, or not enough", async () => {
    const port = await listening();
    const sockets = ["", "PRI * HT"].map((said) => {
      const socket = connected(port.port);
      if (said) socket.write(said);
      return socket;
    });
    await once(get({ host: HOST, port: port.port }), "response");
    const closed = sockets.map((socket) => once(socket, "close"));
    await port.drain(FOR_EVER_MS);
    await Promise.all(closed);
  });

  test("closes a kept connection that is idle", async () => {
    const port = await listening();
    const agent = new Agent({ keepAlive: true });
    const [response] = await once(get({ host: HOST, port: port.port, agent }), "response");
    const closed = once(response.socket, "close");
    await once(response.resume(), "end");
    await port.drain(FOR_EVER_MS);
    await closed;
  });

  test.each(["before", "after"])(
    "lets an answer end whose headers leave %s it begins, and then closes its kept connection",
    async (when) => {
      const begun = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const port = await listening(async (_, response) => {
        if (when === "before") (response as { flushHeaders(): void }).flushHeaders();
        begun.resolve();
        await release.promise;
        response.end("all of it");
      });
      const agent = new Agent({ keepAlive: true });
      const answered = once(get({ host: HOST, port: port.port, agent }), "response");
      await begun.promise;
      if (when === "before") await answered;
      const drained = port.drain(FOR_EVER_MS);
      release.resolve();
      const [response] = (await answered) as [IncomingMessage];
      expect(response.headers.connection).toBe(when === "before" ? "keep-alive" : "close");
      expect(await text(response)).toBe("all of it");
      await drained;
    },
  );

  test("tells HTTP/2 peers to go, and lets their streams end", async () => {
    const begun = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const port = await listening(async (_, response) => {
      begun.resolve();
      await release.promise;
      response.end("all of it");
    });
    const session = connectHttp2(`http://${HOST}:${port.port}`);
    const goaway = once(session, "goaway");
    const stream = session.request();
    await begun.promise;
    const drained = port.drain(FOR_EVER_MS);
    await goaway;
    release.resolve();
    expect(await text(stream)).toBe("all of it");
    await drained;
  });

  test("cuts off, when its time is up, what does not end", async () => {
    const begun = Promise.withResolvers<void>();
    const port = await listening(() => begun.resolve());
    const request = get({ host: HOST, port: port.port });
    const cut = once(request, "error");
    await begun.promise;
    await port.drain(20);
    expect((await cut)[0].code).toBe("ECONNRESET");
  });
});
