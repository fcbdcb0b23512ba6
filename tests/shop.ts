import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterAll } from "vitest";
import { MethodPolicySchema } from "../gen/mesh/policy/v1/policy_pb.ts";
import { CustomerService } from "../gen/shop/customer/v1/customer_service_pb.ts";
import { OrderService } from "../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { policies } from "../mesh/contract/policy.ts";
import { meshClient, openTarget } from "../mesh/rpc/client/client.ts";
import { type ServiceName, startSystem } from "../services/run.ts";
import { resetSystem } from "../tools/local/reset.ts";
import type { System } from "../tools/local/system.ts";

/**
 * Starts the whole shop for a test file, on free ports and with data of its own, and gives a client of each service.
 * Called at the top of the file: what a hook registers while it runs is not called at the end.
 */
export async function openShop(env: Readonly<Record<string, string>> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), "weft-shop-"));
  const system = await startSystem({ ports: "free", dataDir, env });
  const shop = {
    system,
    dataDir,
    ...clientsOf(system),
    signIn: (name: Person) => signIn(system.address("gateway"), name),
  };
  afterAll(async () => {
    shop.close();
    await system.stop();
    await resetSystem(dataDir, () => {});
    await rm(dataDir, { recursive: true, force: true });
  }, 30_000);
  return shop;
}

/** Somebody of the test data: two customers and an operator. */
export type Person = "ada" | "grace" | "ops";

/** Signs in at the gateway, and returns the headers that prove it from then on. */
export async function signIn(gateway: string, name: Person): Promise<{ readonly authorization: string }> {
  const answer = await fetch(`http://${gateway}/v1/customers:signIn`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: `${name}@example.com`, password: `${name}-demo` }),
  });
  const { accessToken } = (await answer.json()) as { readonly accessToken?: string };
  if (accessToken === undefined) throw new Error(`${name} cannot sign in: ${answer.status}`);
  return { authorization: `Bearer ${accessToken}` };
}

// A test wants to see what is, not what was a moment ago.
const KEEPS_NOTHING = create(MethodPolicySchema, {
  cache: { ttl: {}, staleWhileRevalidate: {}, staleIfError: {} },
});

/** Clients that reach every instance, as the services of the shop do, and keep no answers. */
export function clientsOf(system: System<ServiceName>) {
  const methods = { "shop.product.v1.ProductService/GetProduct": KEEPS_NOTHING };
  const options = { policies: policies({ services: {}, methods }) };
  const target = (service: ServiceName) =>
    openTarget(
      {
        target: {
          scheme: "static",
          endpoints: system.instances
            .filter((each) => each.service === service)
            .map(({ port }) => ({ host: "127.0.0.1", port })),
        },
        protocol: "grpc",
      },
      options,
    );
  const targets = {
    product: target("product"),
    review: target("review"),
    order: target("order"),
    payment: target("payment"),
    customer: target("customer"),
  };
  return {
    products: meshClient(ProductService, targets.product),
    reviews: meshClient(ReviewService, targets.review),
    orders: meshClient(OrderService, targets.order),
    payments: meshClient(PaymentService, targets.payment),
    customers: meshClient(CustomerService, targets.customer),
    close() {
      for (const each of Object.values(targets)) each.close();
    },
  };
}

/** How many calls of a method an instance has answered, since its process began. */
export async function answered({ port }: { readonly port: number }, method: string): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counts = metrics.matchAll(/^rpc_server_call_duration_count\{(.*)\} (\d+)/gm);
  return [...counts]
    .filter(([, labels]) => labels?.includes(`rpc_method="${method}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}

/**
 * Tries until `fn` does not throw; what follows by events follows a moment later. Throws the last error after
 * `withinMs`: a bound for a broken shop, not a measure of a working one.
 */
export async function eventually<T>(fn: () => Promise<T>, withinMs = 20_000): Promise<T> {
  for (const endMs = performance.now() + withinMs; ; ) {
    try {
      return await fn();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
