import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import type { Session } from "../session.ts";
import { Store } from "../store.ts";
import { signedIn } from "./signed-in.ts";

const DAY_MS = 86_400_000;

/** A shop that takes the token "good" only, and a page whose customer has `token` and signs in with `answers` in turn. */
function open(token: string | undefined, answers: (string | undefined)[] = [], endsInMs = DAY_MS) {
  const sent: (string | null)[] = [];
  const check = ({ requestHeader }: { requestHeader: Headers }) => {
    const authorization = requestHeader.get("authorization");
    sent.push(authorization);
    if (authorization === "Bearer good") return;
    throw new ConnectError("no", Code.Unauthenticated, undefined, [
      { desc: ErrorInfoSchema, value: { reason: "TOKEN_INVALID", domain: "mesh.weft" } },
    ]);
  };
  const inner = createRouterTransport((router) => {
    router.service(OrderService, {
      getOrder({ orderId }, context) {
        check(context);
        if (orderId === "none") throw new ConnectError("none", Code.NotFound);
        return { order: { orderId } };
      },
    });
    router.service(ProductService, {
      getProduct(_, { requestHeader }) {
        sent.push(requestHeader.get("authorization"));
        return {};
      },
    });
  });
  const session = new Store<Session | undefined>(
    token === undefined
      ? undefined
      : { customerId: "cust-ada", name: "Ada", accessToken: token, endsAtMs: Date.now() + endsInMs },
  );
  let asked = 0;
  const transport = signedIn(inner, session, async () => {
    asked++;
    return answers.shift();
  });
  return {
    orders: createClient(OrderService, transport),
    products: createClient(ProductService, transport),
    session,
    sent,
    asked: () => asked,
  };
}

test("a call says who makes it where the contract asks, and only there", async () => {
  const page = open("good");
  await page.orders.getOrder({ orderId: "o1" });
  await page.products.getProduct({ productId: "p1" });
  expect(page.sent).toEqual(["Bearer good", null]);
  expect(page.asked()).toBe(0);
});

test("without a token, or with one that has ended, nothing is sent before the customer has signed in", async () => {
  for (const page of [open(undefined, ["good"]), open("old", ["good"], -1)]) {
    await page.orders.getOrder({ orderId: "o1" });
    expect(page.sent).toEqual(["Bearer good"]);
  }
});

test("a token that is not taken is forgotten, and the call goes on with the next", async () => {
  const page = open("bad", ["good"]);
  const { order } = await page.orders.getOrder({ orderId: "o1" });
  expect(order?.orderId).toBe("o1");
  expect(page.sent).toEqual(["Bearer bad", "Bearer good"]);
  expect(page.session.get()).toMatchObject({ customerId: "cust-ada", endsAtMs: 0 });
});

test("who would rather not sign in gets UNAUTHENTICATED", async () => {
  const page = open(undefined);
  await expect(page.orders.getOrder({ orderId: "o1" })).rejects.toMatchObject({ code: Code.Unauthenticated });
  expect(page.sent).toEqual([]);
});

test("any other refusal is the call's", async () => {
  const page = open("good");
  await expect(page.orders.getOrder({ orderId: "none" })).rejects.toMatchObject({ code: Code.NotFound });
  expect(page.asked()).toBe(0);
});
