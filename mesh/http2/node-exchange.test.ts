import { type EventEmitter, once } from "node:events";
import * as http2 from "node:http2";
import * as net from "node:net";
import { expect, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";
import { frame } from "../testing/http2-frames.ts";
import { FrameType } from "./frame.ts";
import { REQUEST } from "./heard-stream.ts";
import { NodeExchange, type NodeHandler } from "./node-exchange.ts";
import type { NodeRequest } from "./node-request.ts";
import type { NodeResponse } from "./node-response.ts";
import { rawPeer, settings, uint32 } from "./raw-peer.ts";
import { ServerConnection, type ServerConnectionOptions } from "./server-connection.ts";

const HOST = "127.0.0.1";

/** Unlike `once`, it is not told of errors. */
const closeOf = (emitter: EventEmitter) => new Promise<void>((resolve) => emitter.once("close", resolve));

/** Serves with this handler, and opens a client of Node's own. */
async function serving(
  handle: NodeHandler,
  options: ServerConnectionOptions = {},
  clientOptions: http2.ClientSessionOptions = {},
) {
  const connections: ServerConnection[] = [];
  const server = net.createServer({ noDelay: true }, (socket) => {
    connections.push(
      new ServerConnection(socket, (head, fields) => new NodeExchange(head, fields, socket, handle), options),
    );
  });
  server.listen(0, HOST);
  await once(server, "listening");
  const client = http2.connect(`http://${HOST}:${(server.address() as net.AddressInfo).port}`, clientOptions);
  client.on("error", () => {});
  atEnd(async () => {
    client.destroy();
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const request = (headers: http2.OutgoingHttpHeaders = {}) =>
    client.request({ ":path": "/a?b=c", ":method": "POST", ...headers });
  return { client, request, connections };
}

/** What a client got. */
async function answerOf(stream: http2.ClientHttp2Stream) {
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  const parts: Buffer[] = [];
  stream.on("response", (came) => {
    headers = came;
  });
  stream.on("trailers", (came) => {
    trailers = came;
  });
  stream.on("data", (part: Buffer) => parts.push(part));
  await closeOf(stream);
  return { headers, trailers, text: String(Buffer.concat(parts)), code: stream.rstCode };
}

async function textOf(request: NodeRequest): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return String(Buffer.concat(parts));
}

test("a request has what node:http2's has", async () => {
  const seen: unknown[] = [];
  const { request } = await serving((asked, answer) => {
    const { method, url, authority, scheme, httpVersion, headers } = asked;
    seen.push(
      { method, url, authority, scheme, httpVersion },
      headers["x-a"],
      headers["set-cookie"],
      headers.cookie,
    );
    seen.push(
      headers.host,
      headers["user-agent"],
      asked.rawHeaders.filter((text) => text.startsWith("x-")),
    );
    answer.end();
  });
  const stream = request({
    "x-a": ["1", "2"],
    "set-cookie": ["a", "b"],
    cookie: ["c=1", "d=2"],
    "user-agent": "ua",
  });
  stream.end();
  await answerOf(stream);
  expect(seen[0]).toMatchObject({ method: "POST", url: "/a?b=c", scheme: "http", httpVersion: "2.0" });
  expect(seen.slice(1, 4)).toEqual(["1, 2", ["a", "b"], "c=1; d=2"]);
  expect(seen.slice(4)).toEqual([(seen[0] as { authority: string }).authority, "ua", ["x-a", "x-a"]]);
});

test("an answer has its status, headers, body and trailers", async () => {
  const { request } = await serving((_, answer) => {
    answer.setHeader("X-Upper", "1");
    answer.setHeader("x-gone", "1");
    answer.removeHeader("X-Gone");
    answer.appendHeader("x-many", "a");
    answer.appendHeader("x-many", "b");
    expect([answer.getHeader("x-UPPER"), answer.hasHeader("x-gone"), answer.headersSent]).toEqual([
      "1",
      false,
      false,
    ]);
    answer.writeHead(201, { "x-head": 7, connection: "close" });
    answer.write("one ");
    expect(answer.headersSent).toBe(true);
    answer.addTrailers({ "x-trailer": "t" });
    answer.end("two");
  });
  const stream = request();
  stream.end();
  const { headers, trailers, text, code } = await answerOf(stream);
  expect(headers).toMatchObject({ ":status": 201, "x-upper": "1", "x-many": "a, b", "x-head": "7" });
  expect([headers.connection, headers["x-gone"], typeof headers.date]).toEqual([
    undefined,
    undefined,
    "string",
  ]);
  expect([text, trailers["x-trailer"], code]).toEqual(["one two", "t", 0]);
});

test("trailers without a body, and no date for who wants none", async () => {
  const { request } = await serving((_, answer) => {
    answer.sendDate = false;
    answer.addTrailers({ "x-trailer": "t" });
    answer.end();
  });
  const stream = request();
  stream.end();
  const { headers, trailers, text } = await answerOf(stream);
  expect([headers[":status"], headers.date, trailers["x-trailer"], text]).toEqual([200, undefined, "t", ""]);
});

test.each([
  ["HEAD", 200, { ":method": "HEAD" }],
  ["204", 204, {}],
  ["304", 304, {}],
])("an answer to %s has no body, whatever is written", async (_, status, headers) => {
  const { request, connections } = await serving((_, answer) => {
    answer.writeHead(status, { "content-length": status === 200 ? 7 : undefined });
    answer.write("not ");
    answer.end("here");
  });
  const stream = request(headers);
  stream.end();
  const answer = await answerOf(stream);
  expect([answer.headers[":status"], answer.text, answer.code]).toEqual([status, "", 0]);
  expect(answer.headers["content-length"]).toBe(status === 200 ? "7" : undefined);
  expect(connections[0]?.streams.size).toBe(0);
});

test("headers may leave before anything else does", async () => {
  const go = Promise.withResolvers<void>();
  const { request } = await serving(async (_, answer) => {
    answer.flushHeaders();
    await go.promise;
    answer.end("later");
  });
  const stream = request();
  stream.end();
  const [headers] = await once(stream, "response");
  expect(headers[":status"]).toBe(200);
  go.resolve();
  expect((await answerOf(stream)).text).toBe("later");
});

test("a body is read whole, and answered", async () => {
  const { request, connections } = await serving(async (asked, answer) => {
    const text = await textOf(asked);
    answer.end(`${text.length} ${asked.complete}`);
  });
  const stream = request();
  stream.end("x".repeat(3_000_000));
  expect((await answerOf(stream)).text).toBe("3000000 true");
  expect([connections[0]?.streams.size, connections[0]?.heldBytes]).toEqual([0, 0]);
});

test("who does not read holds its sender back at the stream's window", async () => {
  const asked = Promise.withResolvers<NodeRequest>();
  const { request, connections } = await serving((came, answer) => {
    asked.resolve(came);
    came.on("end", () => answer.end("read"));
  });
  const stream = request();
  stream.end("x".repeat(1_000_000));
  const came = await asked.promise;
  const exchange = came.stream;
  // The window and what Readable takes without being read.
  while (exchange.receiveWindow > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(came.readableLength).toBeGreaterThanOrEqual(262_144);
  expect(came.readableLength).toBeLessThan(262_144 + 2 * 65_536);
  const { streams } = connections[0] as ServerConnection;
  expect(streams.size).toBe(1);
  came.resume();
  expect((await answerOf(stream)).text).toBe("read");
});

test("a slow reader holds its handler back, and gets all of it", async () => {
  let writes = 0;
  const full = Promise.withResolvers<void>();
  const { request, connections } = await serving(
    async (_, answer) => {
      for (let i = 0; i < 64; i++) {
        writes++;
        if (answer.write(Buffer.alloc(65_536, "y"))) continue;
        full.resolve();
        await once(answer, "drain");
      }
      answer.end();
    },
    {},
    { settings: { initialWindowSize: 100_000 } },
  );
  const stream = request();
  stream.end();
  await full.promise;
  await once(stream, "response");
  expect(writes).toBeLessThan(10);
  expect(connections[0]?.heldBytes).toBeLessThan(200_000);
  const { text, code } = await answerOf(stream);
  expect([text.length, code, writes]).toEqual([64 * 65_536, 0, 64]);
  expect(connections[0]?.heldBytes).toBe(0);
});

test("who leaves ends the request and the answer, and whoever waits for either", async () => {
  const begun = Promise.withResolvers<[NodeRequest, NodeResponse]>();
  const { request, connections } = await serving((asked, answer) => begun.resolve([asked, answer]));
  const stream = request();
  stream.write("part");
  const [asked, answer] = await begun.promise;
  const reading = textOf(asked);
  const closed = Promise.all([closeOf(asked), closeOf(answer)]);
  stream.on("error", () => {});
  stream.destroy(new Error("the caller has left"));
  await expect(reading).rejects.toMatchObject({ code: "ECONNRESET" });
  await closed;
  expect([asked.stream.rstCode, asked.stream.closed, asked.complete]).toEqual([2, true, false]);
  expect(connections[0]?.streams.size).toBe(0);
  // What is said too late goes nowhere.
  answer.write("late");
  answer.end();
});

test("a connection that breaks does the same", async () => {
  const begun = Promise.withResolvers<[NodeRequest, NodeResponse]>();
  const { client, request } = await serving((asked, answer) => begun.resolve([asked, answer]));
  const stream = request();
  stream.on("error", () => {});
  stream.end();
  const [asked, answer] = await begun.promise;
  const closed = Promise.all([closeOf(asked), closeOf(answer)]);
  client.destroy();
  await closed;
  expect(asked.stream.closed).toBe(true);
});

test("who is answered before it has said all is told to stop", async () => {
  const { request, connections } = await serving((_, answer) => {
    answer.writeHead(413);
    answer.end("too large");
  });
  const stream = request();
  stream.on("error", () => {});
  stream.write("x".repeat(100));
  const { headers, text, code } = await answerOf(stream);
  expect([headers[":status"], text, code]).toEqual([413, "too large", 0]);
  expect(connections[0]?.streams.size).toBe(0);
});

test("one that reads too slowly to be told so at once is told when the answer has left", async () => {
  const peer = rawPeer("client");
  const connection = new ServerConnection(peer.socket, (head, fields) => {
    const handle: NodeHandler = (_, answer) => void answer.end("too large");
    return new NodeExchange(head, fields, peer.socket as net.Socket, handle);
  });
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 4 })), peer.headers(1, REQUEST));
  await peer.next(FrameType.DATA);
  await peer.settled();
  expect(connection.streams.size).toBe(1);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(100)));
  expect(await peer.next(FrameType.RST_STREAM)).toMatchObject({ stream: 1, payload: uint32(0) });
  expect([connection.streams.size, connection.heldBytes]).toEqual([0, 0]);
  connection.destroy();
});

test("an answer that is destroyed before its end resets the stream", async () => {
  const { request } = await serving((_, answer) => {
    answer.write("part");
    setImmediate(() => answer.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  });
  const stream = request();
  stream.end();
  const failed = once(stream, "error");
  stream.resume();
  await failed;
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
});

test("a handler that throws ends its own stream, and no other of its connection", async () => {
  const go = Promise.withResolvers<void>();
  const { request, connections } = await serving((asked, answer) => {
    if (asked.headers["x-throws"]) throw new Error("a mistake");
    go.promise.then(() => answer.end("well"));
  });
  const other = request();
  other.end();
  const stream = request({ "x-throws": "1" });
  stream.end();
  stream.on("error", () => {});
  await closeOf(stream);
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
  go.resolve();
  expect((await answerOf(other)).text).toBe("well");
  expect(connections).toHaveLength(1);
});
