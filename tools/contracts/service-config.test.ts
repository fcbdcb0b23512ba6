import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { create, type DescMethod, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { Code as RpcCode } from "../../gen/google/rpc/code_pb.ts";
import { serviceConfig } from "../../mesh/contract/service-config.ts";
import { joinTrailers } from "../../mesh/rpc/server/trailers-only.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { toyContract } from "../../mesh/testing/toy-calls.ts";
import { shopServices } from "./shop-services.ts";

const folder = join(import.meta.dirname, "../../contracts/service-config");
const fileOf = (service: DescService) => readFileSync(join(folder, `${service.typeName}.json`), "utf8");
const services = await shopServices();
const written = services.map((service) => [service.typeName, service] as const);

test("there is a file for each service of the shop, and no other", () => {
  expect(readdirSync(folder).sort()).toEqual(services.map(({ typeName }) => `${typeName}.json`).sort());
});

test.each(written)("the file of %s is what its contract says", (_, service) => {
  expect(JSON.parse(fileOf(service))).toEqual(JSON.parse(JSON.stringify(serviceConfig(service))));
});

/** A server that fails so often with a code before it answers, and notes the attempts and timeouts that it sees. */
async function failing(service: DescService, times: number, code = Code.Unavailable) {
  const seen: { readonly path: string; readonly previous: string | undefined; readonly timeout: string }[] =
    [];
  const answer = () => {
    if (seen.length <= times) throw new ConnectError("as the test says", code);
    return {};
  };
  const handlers = Object.fromEntries(service.methods.map(({ localName }) => [localName, answer]));
  const rpc = connectNodeAdapter({ routes: (router) => router.service(service, handlers as never) });
  const server = createServer((request, response) => {
    const { headers, url } = request;
    const previous = headers["grpc-previous-rpc-attempts"] as string | undefined;
    seen.push({ path: url, previous, timeout: String(headers["grpc-timeout"]) });
    // A standard client retries only what is Trailers-Only.
    joinTrailers(response);
    rpc(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => void server.close());
  return { seen, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Calls a method over bare grpc-js with a service config, and nothing of the mesh. */
function call(
  address: string,
  config: string,
  { parent, name, input, output }: DescMethod,
): Promise<unknown> {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.service_config": config,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
  });
  atEnd(async () => client.close());
  const serialize = (value: object) => Buffer.from(toBinary(input, value as never));
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${parent.typeName}/${name}`,
      serialize,
      (bytes: Buffer) => fromBinary(output, bytes),
      create(input),
      new Metadata(),
      {},
      (error, value) => (error ? reject(error) : resolve(value)),
    );
  });
}

const unary = (service: DescService, isWanted: (config: MethodConfig) => boolean) =>
  service.methods.find((method) => {
    if (method.methodKind !== "unary") return false;
    const { methodConfig } = JSON.parse(fileOf(service)) as { methodConfig: MethodConfig[] };
    return methodConfig.some(
      (each) => each.name.some(({ method: name }) => name === method.name) && isWanted(each),
    );
  });

interface MethodConfig {
  readonly name: readonly { readonly method: string }[];
  readonly timeout?: string;
  readonly retryPolicy?: { readonly maxAttempts: number };
}

test.each(written)("grpc-js keeps to the file of %s: the attempts, and the timeout", async (_, service) => {
  const method = unary(service, ({ retryPolicy }) => retryPolicy !== undefined);
  if (!method) throw new Error(`${service.typeName} has no method that may be repeated`);
  const { methodConfig } = JSON.parse(fileOf(service)) as { methodConfig: MethodConfig[] };
  const own = methodConfig.find(({ name }) => name.some((each) => each.method === method.name));
  const attempts = own?.retryPolicy?.maxAttempts ?? 0;
  const { seen, address } = await failing(service, attempts - 1);
  await call(address, fileOf(service), method);
  expect(seen.map(({ previous }) => previous)).toEqual([undefined, "1", "2"].slice(0, attempts));
  for (const { timeout } of seen) expect(timeout).toMatch(/^\d+m$/);
});

const withUnsafe = written.filter(([, service]) =>
  unary(service, ({ retryPolicy }) => retryPolicy === undefined),
);

test.each(withUnsafe)("grpc-js does not retry a method of %s that must not be", async (_, service) => {
  const method = unary(service, ({ retryPolicy }) => retryPolicy === undefined);
  if (!method) throw new Error(`every method of ${service.typeName} may be repeated`);
  const { seen, address } = await failing(service, 1);
  const error: ServiceError = await call(address, fileOf(service), method).then(
    () => {
      throw new Error("it was retried");
    },
    (thrown) => thrown,
  );
  expect(error.code).toBe(status.UNAVAILABLE);
  expect(seen).toHaveLength(1);
});

test("a code that the method's policy names is retried by grpc-js, another is not", async () => {
  const service = toyContract({
    Get: {
      idempotency: "IDEMPOTENT",
      policy: { redundancy: { case: "retry", value: { codes: [RpcCode.RESOURCE_EXHAUSTED] } } },
    },
  });
  const [get] = service.methods;
  if (!get) throw new Error("the toy has a method");
  const config = JSON.stringify(serviceConfig(service));
  const named = await failing(service, 1, Code.ResourceExhausted);
  await call(named.address, config, get);
  expect(named.seen).toHaveLength(2);
  const other = await failing(service, 1, Code.Unavailable);
  await expect(call(other.address, config, get)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  expect(other.seen).toHaveLength(1);
});
