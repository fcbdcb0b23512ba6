import { Code, ConnectError, createContextKey, createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { FrameType } from "../http2/frame.ts";
import { callHeaders, message, serverOfPeer } from "./grpc-peer.ts";
import type { GrpcServerOptions } from "./server.ts";

const PATH = "/shop.product.v1.ProductService/GetProduct";
const EMPTY = new Uint8Array(0);

function serving(options: Partial<GrpcServerOptions> = {}) {
  const seen: { values: unknown; header: Headers }[] = [];
  const key = createContextKey("nothing");
  const served = serverOfPeer(
    (router) =>
      router.service(ProductService, {
        getProduct(_, { values, requestHeader }) {
          seen.push({ values: values.get(key), header: requestHeader });
          return {};
        },
      }),
    options,
  );
  return { ...served, seen, key };
}

/** The headers that answer a call with these, of which some are changed. */
async function answerTo(
  changed: Record<string, string | undefined>,
  options: Partial<GrpcServerOptions> = {},
) {
  const served = serving(options);
  const { peer } = served;
  const fields = callHeaders(changed[":path"] ?? PATH).filter(
    (field) => !Object.keys(changed).some((name) => field.startsWith(`${name}: `)),
  );
  const own = Object.entries(changed).flatMap(([name, value]) => (value ? [`${name}: ${value}`] : []));
  const all = [
    ...own.filter((each) => each.startsWith(":")),
    ...fields,
    ...own.filter((each) => !each.startsWith(":")),
  ];
  peer.send(peer.headers(1, all), message(1, EMPTY, true));
  return { ...served, answer: await peer.next(FrameType.HEADERS) };
}

test.each([
  ["another method of HTTP", { ":method": "GET" }, [":status: 405"]],
  ["a codec that nobody has", { "content-type": "application/grpc+thrift" }, [":status: 415"]],
])("%s is refused in HTTP", async (_, changed, headers) => {
  const { answer } = await answerTo(changed);
  expect([answer.headers, answer.flags]).toEqual([headers, 0x5]);
});

test.each([
  ["a method that there is not", { ":path": "/shop.product.v1.ProductService/None" }, Code.Unimplemented],
  ["a timeout that is none", { "grpc-timeout": "soon" }, Code.InvalidArgument],
  ["a compression that nobody knows", { "grpc-encoding": "br" }, Code.Unimplemented],
])("%s is refused Trailers-Only", async (_, changed, code) => {
  const { answer, seen } = await answerTo(changed);
  expect(answer.headers).toEqual(expect.arrayContaining([":status: 200", `grpc-status: ${code}`]));
  expect([answer.flags, seen]).toEqual([0x5, []]);
});

test("who is refused for its compression learns what there is", async () => {
  const { answer } = await answerTo({ "grpc-encoding": "br" });
  expect(answer.headers).toContain("grpc-accept-encoding: gzip");
});

test.each(["text/html", "application/grpc-web+proto", "application/grpcx", undefined])(
  "%s is for somebody else",
  async (type) => {
    const { server } = serving();
    const fields = type === undefined ? [] : [{ name: "content-type", value: type }];
    expect(server.connection()({ method: "POST", path: PATH } as never, fields)).toBeUndefined();
  },
);

test("the answer has the type of the question, as its caller wrote it", async () => {
  const { answer, seen } = await answerTo({ "content-type": "application/grpc" });
  expect(answer.headers).toEqual([":status: 200", "content-type: application/grpc"]);
  expect(seen).toHaveLength(1);
});

test("a query behind the path is nobody's", async () => {
  const { seen } = await answerTo({ ":path": `${PATH}?a=b` });
  expect(seen).toHaveLength(1);
});

test("what sees headers first gives a call its values, or refuses it", async () => {
  const key = createContextKey("nothing");
  const values: string[] = [];
  const { peer } = serverOfPeer(
    (router) =>
      router.service(ProductService, {
        getProduct(_, context) {
          values.push(context.values.get(key));
          return {};
        },
      }),
    {
      arrive: (method, fields) =>
        fields.some(({ name }) => name === "x-bad")
          ? new ConnectError(`not ${method.desc.name}`, Code.PermissionDenied)
          : createContextValues().set(key, "something"),
    },
  );
  peer.send(peer.headers(1, callHeaders(PATH)), message(1, EMPTY, true));
  await peer.next(FrameType.HEADERS);
  peer.send(peer.headers(3, [...callHeaders(PATH), "x-bad: 1"]), message(3, EMPTY, true));
  const refused = await peer.next(FrameType.HEADERS, 3);
  expect(refused.headers).toEqual(expect.arrayContaining(["grpc-status: 7", "grpc-message: not GetProduct"]));
  expect(values).toEqual(["something"]);
});

test("what throws when it sees headers refuses that call, and no other of the connection", async () => {
  const { answer, connection } = await answerTo(
    {},
    {
      arrive() {
        throw new Error("a secret");
      },
    },
  );
  expect(answer.headers).toEqual(expect.arrayContaining(["grpc-status: 13", "grpc-message: internal error"]));
  expect(connection.isClosed).toBe(false);
});
