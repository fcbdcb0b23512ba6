import { connect, createServer, type Socket } from "node:net";
import { listening } from "../../calls/listening.ts";
import { codec, type Item, LISTED } from "../../data-plane/contract.ts";
import { type Client, HOST } from "../../data-plane/peer.ts";
import { frameReader } from "./frames.ts";

const { write, read, writeRequest, readRequest } = codec;

// A frame is the length of its message, the number of its call, what it is, and the message.
const FRAME = { headerBytes: 9, lengthAt: 0 };
const [ID_AT, KIND_AT] = [4, 8];
const [ECHO, LIST, END] = [0, 1, 2];
const NOTHING = new Uint8Array();
const BUFFER_BYTES = 65_536;

type Send = (id: number, kind: number, message: Uint8Array) => void;

/** What is sent in one turn of the event loop leaves in one write, or in one for each full buffer. */
function gathering(socket: Socket): Send {
  let buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  // Of the buffer: before `from` it has been given to the socket, up to `to` it is filled.
  let [from, to] = [0, 0];
  let isScheduled = false;
  const flush = () => {
    isScheduled = false;
    if (to > from) socket.write(buffer.subarray(from, to));
    from = to;
  };
  return (id, kind, message) => {
    const bytes = FRAME.headerBytes + message.length;
    if (to + bytes > buffer.length) {
      flush();
      buffer = Buffer.allocUnsafe(Math.max(BUFFER_BYTES, bytes));
      [from, to] = [0, 0];
    }
    buffer.writeUInt32BE(message.length, to);
    buffer.writeUInt32BE(id, to + ID_AT);
    buffer[to + KIND_AT] = kind;
    buffer.set(message, to + FRAME.headerBytes);
    to += bytes;
    if (!isScheduled) {
      isScheduled = true;
      setImmediate(flush);
    }
  };
}

function frames(socket: Socket, onFrame: Send): void {
  const reader = frameReader(FRAME, (frame) =>
    onFrame(frame.readUInt32BE(ID_AT), frame[KIND_AT] ?? END, frame.subarray(FRAME.headerBytes)),
  );
  socket.on("data", reader);
}

/** The least that a call can be made of: protobuf with its length over TCP. No deadlines, no errors, no flow control. */
export function startServer(port: number): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    const send = gathering(socket);
    // Who closes a connection may reset it.
    socket.on("error", () => {});
    frames(socket, (id, kind, bytes) => {
      if (kind === ECHO) {
        const { id: name, n, tags } = read(bytes);
        return send(id, ECHO, write({ id: name, n, tags }));
      }
      let left = readRequest(bytes);
      const fill = () => {
        while (left-- > 0) {
          send(id, LIST, write(LISTED));
          if (socket.writableNeedDrain) return socket.once("drain", fill);
        }
        return send(id, END, NOTHING);
      };
      fill();
    });
  });
  return listening(server, port);
}

/** The other side of it. */
export async function openClient(port: number): Promise<Client> {
  const socket = connect({ host: HOST, port, noDelay: true });
  const send = gathering(socket);
  const receivers = new Map<number, (kind: number, bytes: Uint8Array) => void>();
  let lastId = 0;
  const receive = (receiver: (kind: number, bytes: Uint8Array) => void) => {
    receivers.set(++lastId, receiver);
    return lastId;
  };
  frames(socket, (id, kind, bytes) => {
    if (kind !== LIST) {
      const receiver = receivers.get(id);
      receivers.delete(id);
      receiver?.(kind, bytes);
    } else receivers.get(id)?.(kind, bytes);
  });
  return {
    echo: (item) =>
      new Promise<Item>((resolve) => {
        send(
          receive((_, bytes) => resolve(read(bytes))),
          ECHO,
          write(item),
        );
      }),
    list: (count) =>
      new Promise((resolve) => {
        let came = 0;
        const id = receive((kind, bytes) => {
          if (kind === END) return resolve(came);
          read(bytes);
          came++;
        });
        send(id, LIST, writeRequest(count));
      }),
    close() {
      socket.end();
    },
  };
}
