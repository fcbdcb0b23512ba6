import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const product = await testServer(ProductService, {
  getProduct: ({ productId }) => ({ product: { productId } }),
});
const customer = await testServer(CustomerService, { signIn: () => ({ accessToken: "secret-token" }) });
const { url: natsUrl } = await testBroker();

async function gateway(env: Record<string, string>) {
  const app = await startApp(
    readSettings({
      HOST: "127.0.0.1",
      PORT: "0",
      NATS_URL: natsUrl,
      LOG_LEVEL: "error",
      MESH_AUTH: "off",
      PRODUCT_TARGET: `static:///${product.address}`,
      CUSTOMER_TARGET: `static:///${customer.address}`,
      ...env,
    }),
  );
  atEnd(() => app.stop());
  const url = `http://127.0.0.1:${app.port}`;
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${url}${path}`, { headers });
  const signIn = () =>
    fetch(`${url}/v1/customers:signIn`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"email":"ada@example.com","password":"ada-demo"}',
    });
  return { port: app.port, get, signIn };
}

test("callers may call as often as the settings say, whatever they speak, and metrics count who is refused", async () => {
  const { port, get } = await gateway({ RATE_LIMIT_CALLS_PER_ADDRESS: "2", RATE_LIMIT_WINDOW_MS: "3600000" });
  const first = await get("/v1/products/p1");
  expect([first.status, first.headers.get("ratelimit-policy")]).toEqual([200, '"address";q=2;w=3600']);
  const way = dataPlaneOf().grpc({ host: "127.0.0.1", port }, { interceptors: [], maxMessageBytes: 2 ** 22 });
  atEnd(async () => way.close());
  const products = meshClient(ProductService, way);
  expect((await products.getProduct({ productId: "p2" })).product?.productId).toBe("p2");
  await expect(products.getProduct({ productId: "p3" })).rejects.toMatchObject({
    code: Code.ResourceExhausted,
  });
  expect((await get("/v1/products/p4")).status).toBe(429);
  const metrics = await (await get("/metrics")).text();
  expect(metrics).toMatch(/^mesh_server_rate_limited_total\{limit="address".*\} 2$/m);
  expect((await get("/healthz")).status).toBe(200);
});

test("signing in has the limit of its contract, and the answer with the token is not kept", async () => {
  const { signIn, get } = await gateway({});
  const answers = [];
  for (let call = 0; call < 21; call++) answers.push(await signIn());
  expect(answers.map(({ status }) => status)).toEqual([...Array(20).fill(200), 429]);
  expect(answers[0]?.headers.get("cache-control")).toBe("no-store");
  expect((await get("/v1/products/p1")).status).toBe(200);
});

test("the limits can be off, and the security headers are there", async () => {
  const { get } = await gateway({ RATE_LIMIT: "off", RATE_LIMIT_CALLS_PER_ADDRESS: "1" });
  for (let call = 0; call < 3; call++) {
    const answer = await get("/v1/products/p1");
    expect([answer.status, answer.headers.get("ratelimit")]).toEqual([200, null]);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("proxies that the setting names say who calls, and that it is by TLS", async () => {
  const { get } = await gateway({ TRUSTED_PROXIES: "loopback", RATE_LIMIT_CALLS_PER_ADDRESS: "1" });
  const from = (address: string) =>
    get("/v1/products/p1", { "x-forwarded-for": address, "x-forwarded-proto": "https" });
  const [one, other, again] = [await from("192.0.2.1"), await from("192.0.2.2"), await from("192.0.2.1")];
  expect([one.status, other.status, again.status]).toEqual([200, 200, 429]);
  expect(one.headers.get("strict-transport-security")).toBe("max-age=31536000");
});
