import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { buildImage, compareWithImage, releasedImages } from "../tools/contracts/contract-images.ts";
import { type ContractCopy, checkout, copyContracts } from "./contract-copy.ts";

const unreleased = join("contracts", "released", "unreleased.binpb");
const released = releasedImages(checkout);

describe.each(released.length > 0 ? released : [unreleased])("%s", (image) => {
  let copy: ContractCopy;

  beforeAll(async () => {
    copy = copyContracts();
    // Before the first release, the contracts as they are stand in for it.
    if (image === unreleased)
      expect(await buildImage(copy.dir, join(copy.dir, image))).toMatchObject({ ok: true });
  });
  afterAll(() => copy.remove());

  test("is still kept", async () => {
    expect(await compareWithImage(copy.dir, image)).toEqual({ ok: true, output: "" });
  });

  test.each([
    {
      what: "deleting a field",
      path: "proto/shop/order/v1/order.proto",
      from: /^ *string customer_id = 2\b[^;]*;$/m,
      to: "",
      says: 'field "2" with name "customer_id" on message "Order" was deleted',
    },
    {
      what: "changing the type of a field",
      path: "proto/shop/order/v1/order.proto",
      from: /string order_id = 1\b/,
      to: "bytes order_id = 1",
      says: 'Field "1" with name "order_id" on message "Order" changed type from "string" to "bytes"',
    },
    {
      what: "deleting an enum value",
      path: "proto/shop/order/v1/order.proto",
      from: /^ *ORDER_STATE_CANCELLED = 4;$/m,
      to: "",
      says: 'enum value "4" on enum "OrderState" was deleted',
    },
    {
      what: "deleting an RPC",
      path: "proto/shop/order/v1/order_service.proto",
      from: /^ {2}rpc CancelOrder\([\s\S]*?^ {2}\}$/m,
      to: "",
      says: 'RPC "CancelOrder" on service "OrderService" was deleted',
    },
    {
      what: "deleting an event",
      path: "proto/shop/order/v1/order_event.proto",
      from: /^message OrderCancelled \{[\s\S]*?^\}$/m,
      to: "",
      says: 'message "OrderCancelled" was deleted',
    },
  ])("refuses $what", async ({ path, from, to, says }) => {
    const broken = copyContracts();
    onTestFinished(() => broken.remove());
    broken.edit(path, from, to);
    const { ok, output } = await compareWithImage(broken.dir, join(copy.dir, image));
    expect(output).toContain(says);
    expect(ok).toBe(false);
  });
});
