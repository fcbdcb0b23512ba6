import { create, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { atEnd } from "../../testing/at-end.ts";
import { testServer } from "../../testing/server.ts";
import { toyContract } from "../../testing/toy-calls.ts";

// What a client of another maker makes of our server, by its own retry policy (gRFC A6).
const service = toyContract({ Get: {} });
const [{ name, input, output }] = service.methods as [DescMethod];
const config = {
  methodConfig: [
    {
      name: [{ service: service.typeName }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: "0.001s",
        maxBackoff: "0.001s",
        backoffMultiplier: 1,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

/** A server of ours whose handler fails so often before it answers, and notes what each attempt says of those before. */
async function failing(times: number, fail: (context: HandlerContext) => void) {
  const attempts: (string | null)[] = [];
  const server = await testServer(service, {
    get(_: unknown, context: HandlerContext) {
      attempts.push(context.requestHeader.get("grpc-previous-rpc-attempts"));
      if (attempts.length <= times) fail(context);
      return { text: "answered" };
    },
  } as never);
  const client = new Client(server.address, credentials.createInsecure(), {
    "grpc.service_config": JSON.stringify(config),
    "grpc.service_config_disable_resolution": 1,
  });
  atEnd(async () => client.close());
  const call = () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${service.typeName}/${name}`,
        (value: object) => Buffer.from(toBinary(input, value as never)),
        (bytes: Buffer) => fromBinary(output, bytes),
        create(input),
        new Metadata(),
        { deadline: Date.now() + 10_000 },
        (error, value) => (error ? reject(error) : resolve(value)),
      );
    });
  return { attempts, call };
}

const unavailable = () => {
  throw new ConnectError("not now", Code.Unavailable);
};

test("grpc-js repeats a call that our server refuses, as often as its policy says", async () => {
  const { attempts, call } = await failing(2, unavailable);
  expect(await call()).toMatchObject({ text: "answered" });
  expect(attempts).toEqual([null, "1", "2"]);
  const more = await failing(3, unavailable);
  await expect(more.call()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(more.attempts).toHaveLength(3);
});

test("a code that the policy does not name is not repeated, nor an error behind headers of the handler's own", async () => {
  const other = await failing(1, () => {
    throw new ConnectError("never", Code.NotFound);
  });
  await expect(other.call()).rejects.toMatchObject({ code: status.NOT_FOUND });
  expect(other.attempts).toHaveLength(1);
  // Headers say that an answer has begun: then the call is committed.
  const begun = await failing(1, (context) => {
    context.responseHeader.set("x-begun", "1");
    unavailable();
  });
  await expect(begun.call()).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(begun.attempts).toHaveLength(1);
});
