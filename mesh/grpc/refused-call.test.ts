import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { FrameType } from "../http2/frame.ts";
import { rawPeer, uint32 } from "../http2/raw-peer.ts";
import { ServerConnection } from "../http2/server-connection.ts";
import { callHeaders, data } from "./grpc-peer.ts";
import { RefusedCall } from "./refused-call.ts";

function refusing(make: () => RefusedCall) {
  const peer = rawPeer("client");
  const connection = new ServerConnection(peer.socket, make);
  return { peer, connection };
}

test("a refusal is one block of headers, and who has more to say is told to stop", async () => {
  const error = new ConnectError("no such thing", Code.Unimplemented);
  const { peer, connection } = refusing(() => new RefusedCall(200, error, "application/grpc+proto"));
  peer.send(peer.headers(1, callHeaders("/a")));
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({
    headers: [
      ":status: 200",
      "content-type: application/grpc+proto",
      "grpc-status: 12",
      "grpc-message: no such thing",
    ],
    flags: 0x5,
  });
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(0));
  peer.send(data(1, Buffer.from("late"), true));
  await peer.settled();
  expect([connection.streams.size, connection.isClosed]).toEqual([0, false]);
});

test("who has said all is not reset", async () => {
  const { peer } = refusing(() => new RefusedCall(415));
  peer.send(peer.headers(1, callHeaders("/a"), true));
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([":status: 415"]);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.RST_STREAM)).toEqual([]);
});
