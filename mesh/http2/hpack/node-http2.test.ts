import { once } from "node:events";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { atEnd } from "../../testing/at-end.ts";
import {
  FrameFlag,
  FrameType,
  frame,
  framesIn,
  headerBlocksIn,
  PREFACE,
} from "../../testing/http2-frames.ts";
import { type Random, random } from "../../testing/random.ts";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import type { HeaderField } from "./header-field.ts";

const HOST = "127.0.0.1";
const CALLS = 250;

/** Sizes of tables that are the same for the whole connection; undefined changes them again and again. */
const TABLES = [
  { name: "the default size", tableBytes: 4_096 },
  { name: "more than we use", tableBytes: 65_536 },
  { name: "300 bytes", tableBytes: 300 },
  { name: "no bytes", tableBytes: 0 },
  { name: "changing sizes", tableBytes: undefined },
];

test.each(TABLES)(
  "what nghttp2 writes for a table of $name is read as nghttp2 reads it",
  async ({ tableBytes }) => {
    const chance = random(1);
    const settings = { headerTableSize: tableBytes ?? 4_096 };
    const requests: Received[] = [];
    const responses: Received[] = [];
    const server = http2.createServer({ settings });
    server.on("stream", (stream: http2.ServerHttp2Stream, headers, _flags, raw) => {
      requests.push(received(headers, raw));
      stream.respond(
        { ":status": chance.pick([200, 404, 418]), ...outgoing(fieldsBy(chance)) },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers(outgoing(fieldsBy(chance))));
      stream.end();
    });
    const tap = await tapped(await listening(server));
    const serverSide = once(server, "session") as Promise<[http2.Http2Session]>;
    const client = http2.connect(`http://${HOST}:${tap.port}`, { settings });
    atEnd(async () => client.destroy());
    const [session] = await serverSide;

    for (let call = 0; call < CALLS; call++) {
      if (tableBytes === undefined && chance.chance(0.2))
        await resizeTable(chance.pick([client, session]), chance);
      const path = { ":path": chance.pick(["/", "/a", `/${chance.below(50)}`]) };
      const stream = client.request({ ...path, ...outgoing(fieldsBy(chance)) });
      stream.on("response", (headers, _flags, raw) => responses.push(received(headers, raw)));
      stream.on("trailers", (headers, _flags, raw) => responses.push(received(headers, raw)));
      stream.resume();
      await once(stream, "close");
    }

    expect(requests).toHaveLength(CALLS);
    expect(readByUs(tap.up().subarray(PREFACE.length))).toEqual(requests);
    // Trailers may be empty, and then there are none.
    expect(responses.length).toBeGreaterThan(1.5 * CALLS);
    expect(readByUs(tap.down())).toEqual(responses);
  },
);

test.each(TABLES)("what we write for a table of $name is read by nghttp2", async ({ tableBytes }) => {
  const chance = random(2);
  const server = http2.createServer({ settings: { headerTableSize: tableBytes ?? 4_096 } });
  const serverSide = once(server, "session") as Promise<[http2.Http2Session]>;
  const client = await clientByHand(await listening(server));
  const [session] = await serverSide;

  for (let call = 0; call < CALLS; call++) {
    if (tableBytes === undefined && chance.chance(0.2)) await resizeTable(session, chance);
    const fields = [
      { name: ":method", value: "GET" },
      { name: ":scheme", value: "http" },
      { name: ":path", value: chance.pick(["/", "/a", `/${chance.below(50)}`]) },
      { name: ":authority", value: "localhost" },
      ...fieldsBy(chance),
    ];
    const seen = once(server, "stream") as Promise<Parameters<StreamListener>>;
    client.request(1 + 2 * call, fields, chance);
    const [stream, headers, , raw] = await Promise.race([seen, client.broken]);
    stream.close();
    expect(received(headers, raw)).toEqual(asReceived(fields));
  }
  const { bytes } = client.encoder.table();
  expect(bytes > 0).toBe(tableBytes !== 0);
});

type StreamListener = (
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  flags: number,
  raw: string[],
) => void;

/** A header list, and which of its names were never to be indexed. */
interface Received {
  readonly pairs: readonly string[];
  readonly secrets: readonly string[];
}

// The type of Node's symbol says less than it is.
const SECRETS = http2.sensitiveHeaders as unknown as "secrets";

function received(headers: http2.IncomingHttpHeaders, raw: readonly string[]): Received {
  const secrets = headers[SECRETS] as readonly string[] | undefined;
  return { pairs: raw, secrets: [...new Set(secrets)].sort() };
}

function asReceived(fields: readonly HeaderField[]): Received {
  const secrets = fields.filter(({ indexing }) => indexing === "never").map(({ name }) => name);
  return {
    pairs: fields.flatMap(({ name, value }) => [name, value]),
    secrets: [...new Set(secrets)].sort(),
  };
}

function readByUs(octets: Buffer): Received[] {
  const decoder = new HpackDecoder({ maxTableBytes: 65_536 });
  return headerBlocksIn(framesIn(octets).frames).map((block) =>
    asReceived(decoder.decode(block, 0, block.length)),
  );
}

/** Fields by chance: some that repeat, some that do not, some large, with any octet that a value may have. */
function fieldsBy(chance: Random): HeaderField[] {
  const char = () => (chance.chance(0.05) ? 0xa1 + chance.below(95) : 0x21 + chance.below(94));
  const text = (length: number) => Buffer.from(Array.from({ length }, char)).toString("latin1");
  const names = chance.shuffled(["accept", "x-a", "x-b", "x-longer-name", "etag", `x-${chance.below(200)}`]);
  return names.slice(0, chance.below(names.length + 1)).map((name) => {
    const length = chance.chance(0.1) ? chance.below(2_000) : chance.below(30);
    const value = chance.pick(["", "1", "identity,gzip", text(length), text(length)]);
    return chance.chance(0.1) ? { name, value, indexing: "never" } : { name, value };
  });
}

function outgoing(fields: readonly HeaderField[]): http2.OutgoingHttpHeaders {
  const headers: http2.OutgoingHttpHeaders = {};
  for (const { name, value } of fields) headers[name] = name === "x-a" ? [value, `${value}2`] : value;
  headers[SECRETS] = [...asReceived(fields).secrets];
  return headers;
}

async function resizeTable(session: http2.Http2Session, chance: Random): Promise<void> {
  for (let changes = 1 + chance.below(2); changes > 0; changes--) {
    const headerTableSize = chance.pick([0, 100, 500, 1_000, 4_096, 10_000]);
    await new Promise<void>((resolve) => session.settings({ headerTableSize }, () => resolve()));
  }
}

async function listening(server: http2.Http2Server | net.Server): Promise<number> {
  server.listen(0, HOST);
  await once(server, "listening");
  atEnd(async () => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A port that leads to another one, and keeps what passes. */
async function tapped(to: number) {
  const up: Buffer[] = [];
  const down: Buffer[] = [];
  const server = net.createServer({ noDelay: true }, (near) => {
    const far = net.connect({ port: to, host: HOST, noDelay: true });
    near.on("data", (octets: Buffer) => up.push(octets)).on("error", () => {});
    far.on("data", (octets: Buffer) => down.push(octets)).on("error", () => {});
    near.pipe(far).pipe(near);
  });
  return { port: await listening(server), up: () => Buffer.concat(up), down: () => Buffer.concat(down) };
}

/** A client that writes frames by hand, with our encoder, and heeds the table that the server allows. */
async function clientByHand(port: number) {
  const encoder = new HpackEncoder();
  const socket = net.connect({ port, host: HOST, noDelay: true });
  atEnd(async () => {
    socket.destroy();
  });
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  socket.on("error", broken.reject).on("close", () => broken.reject(new Error("the server has closed")));
  const begun = Promise.withResolvers<void>();
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (octets: Buffer) => {
    const { frames, length } = framesIn(Buffer.concat([rest, octets]));
    rest = Buffer.concat([rest, octets]).subarray(length);
    for (const { type, flags, payload } of frames) {
      if (type === FrameType.GOAWAY || (type === FrameType.RST_STREAM && payload.readUInt32BE(0) !== 0)) {
        broken.reject(
          new Error(`the server refuses with a frame of type ${type}: ${payload.toString("hex")}`),
        );
      }
      if (type !== FrameType.SETTINGS || flags & FrameFlag.ACK) continue;
      for (let at = 0; at < payload.length; at += 6) {
        if (payload.readUInt16BE(at) === 1) encoder.setMaxTableBytes(payload.readUInt32BE(at + 2));
      }
      socket.write(frame(FrameType.SETTINGS, FrameFlag.ACK, 0, Buffer.alloc(0)));
      begun.resolve();
    }
  });
  socket.write(Buffer.concat([PREFACE, frame(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))]));
  await Promise.race([begun.promise, broken.promise]);

  function request(stream: number, fields: readonly HeaderField[], chance: Random): void {
    const out = Buffer.alloc(encoder.bound(fields));
    const block = out.subarray(0, encoder.encode(fields, out, 0));
    const cut = chance.chance(0.3) ? chance.below(block.length) : block.length;
    const isWhole = cut === block.length;
    const flags = FrameFlag.END_STREAM | (isWhole ? FrameFlag.END_HEADERS : 0);
    socket.write(frame(FrameType.HEADERS, flags, stream, block.subarray(0, cut)));
    if (isWhole) return;
    socket.write(frame(FrameType.CONTINUATION, FrameFlag.END_HEADERS, stream, block.subarray(cut)));
  }
  return { encoder, request, broken: broken.promise };
}
