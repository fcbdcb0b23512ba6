import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../../testing/at-end.ts";
import { testServer } from "../../testing/server.ts";

// More than the window that an HTTP/2 connection begins with.
const LARGE_BYTES = 2 ** 18;
const STREAM = `/${ProductService.typeName}/ImportProducts`;
const HEALTH = "/healthz";

/** A message of a stream that is larger than the server takes. */
function tooLarge(): Buffer {
  const message = Buffer.alloc(5 + LARGE_BYTES, " ");
  message.writeUInt8(0, 0);
  message.writeUInt32BE(LARGE_BYTES, 1);
  return message;
}

function taking(maxMessageBytes: number) {
  return testServer(
    ProductService,
    {
      async importProducts(rows) {
        for await (const _ of rows);
        return {};
      },
    },
    { maxMessageBytes },
  );
}

test("on HTTP/1.1 the next request is answered, once the rest of the one before has come", async () => {
  const server = await taking(1_000);
  const socket = connect(server.port, "127.0.0.1");
  atEnd(async () => void socket.destroy());
  let received = "";
  const until = async (words: string) => {
    while (!received.includes(words)) received += (await once(socket, "data"))[0];
  };
  const body = tooLarge();
  socket.write(`POST ${STREAM} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\n`);
  socket.write(`content-length: ${body.length}\r\n\r\n`);
  socket.write(body.subarray(0, LARGE_BYTES / 2));
  await until("resource_exhausted");
  socket.write(body.subarray(LARGE_BYTES / 2));
  socket.write(`GET ${HEALTH} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await until("\r\n\r\nok\n");
});

test("on HTTP/2 its sender is told to stop, and the connection has its whole window again", async () => {
  const server = await taking(1_000);
  const session = connectHttp2(server.url);
  atEnd(async () => session.destroy());
  for (let i = 0; i < 4; i++) {
    const headers = { ":method": "POST", ":path": STREAM, "content-type": "application/connect+proto" };
    const stream = session.request(headers);
    stream.resume();
    stream.write(tooLarge());
    await once(stream, "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  }
  const body = "x".repeat(2 ** 16);
  const last = session.request({ ":method": "POST", ":path": "/no-such-page" });
  last.end(body);
  last.resume();
  await once(last, "close");
  expect(last.writableFinished).toBe(true);
});
