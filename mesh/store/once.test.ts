import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { ProductService, ReleaseStockResponseSchema } from "../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../core/errors.ts";
import { childOf } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { toyService } from "../testing/toy-service.ts";
import { until } from "../testing/until.ts";
import { once, pruneOnce, recall } from "./once.ts";
import { transaction } from "./transaction.ts";

const { sql } = await meshDatabase();
await sql`CREATE TABLE effect (request_id text)`;

const { createProduct, releaseStock } = ProductService.method;
const { createCustomer } = CustomerService.method;

const WORK = { trace: childOf(undefined), requestId: "r1", deadlineMs: Number.POSITIVE_INFINITY };

let count = 0;
const newKey = (caller = "ada") => ({
  caller,
  requestId: `request-${++count}`,
  request: { product: { name: "Cup" } },
});
type Key = ReturnType<typeof newKey>;

/** Makes a product once; the effect is a row, the result names the call that had it. */
function make(key: Key, productId: string) {
  return transaction(sql, (tx) =>
    once(tx, createProduct, key, async () => {
      await tx`INSERT INTO effect VALUES (${key.requestId})`;
      return create(createProduct.output, { product: { productId } });
    }),
  );
}

const effects = async ({ requestId }: Key) =>
  (await sql`SELECT 1 FROM effect WHERE request_id = ${requestId}`).length;

const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "no refusal",
    (error) => (error instanceof AppError ? error.reason : error),
  );

const DAY_MIN = 24 * 60;

/** Moves a result into the past: it was made so many minutes ago. */
const age = ({ requestId }: Key, minutes: number) => sql`
  UPDATE request SET created_at = made, expires_at = expires_at - (created_at - made)
  FROM (SELECT now() - make_interval(mins => ${minutes}) AS made) AS past WHERE request_id = ${requestId}`;

test("a repeated call gets the result of the first, to the byte, and has no effect", async () => {
  const key = newKey();
  const first = await make(key, "cup-1");
  const again = await make(key, "cup-2");
  expect(toBinary(createProduct.output, again)).toEqual(toBinary(createProduct.output, first));
  expect(again.product?.productId).toBe("cup-1");
  expect(await effects(key)).toBe(1);
});

test("other content under a known id is REQUEST_ID_REUSED, and has no effect", async () => {
  const key = newKey();
  await make(key, "cup-1");
  const other = { ...key, request: { product: { name: "Mug" } } };
  expect(await reasonOf(make(other, "mug-1"))).toBe("REQUEST_ID_REUSED");
  expect(await reasonOf(recall(sql, createProduct, other))).toBe("REQUEST_ID_REUSED");
  expect(await effects(key)).toBe(1);
});

test("of two at the same time one has an effect; the other waits and gets its result", async () => {
  const key = newKey();
  let second: ReturnType<typeof make> | undefined;
  const first = await transaction(sql, (tx) =>
    once(tx, createProduct, key, async () => {
      await tx`INSERT INTO effect VALUES (${key.requestId})`;
      second = make(key, "cup-2");
      await untilSomeoneWaits();
      return create(createProduct.output, { product: { productId: "cup-1" } });
    }),
  );
  expect(await second).toEqual(first);
  expect(await effects(key)).toBe(1);
});

test("if the first of two fails, the second has its effect", async () => {
  const key = newKey();
  let second: ReturnType<typeof make> | undefined;
  const first = transaction(sql, (tx) =>
    once(tx, createProduct, key, async () => {
      second = make(key, "cup-2");
      await untilSomeoneWaits();
      throw new Error("no");
    }),
  );
  await expect(first).rejects.toThrow("no");
  expect((await second)?.product?.productId).toBe("cup-2");
  expect(await effects(key)).toBe(1);
});

function untilSomeoneWaits(): Promise<unknown> {
  return until(async () => {
    const waiting = await sql`
      SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
    return waiting.length > 0;
  });
}

test("two at the same time with other content: the second is refused", async () => {
  const key = newKey();
  const results = await Promise.all(
    ["Cup", "Mug"].map((name) => reasonOf(make({ ...key, request: { product: { name } } }, name))),
  );
  expect(results.sort()).toEqual(["REQUEST_ID_REUSED", "no refusal"]);
  expect(await effects(key)).toBe(1);
});

test("a call that throws is not remembered", async () => {
  const key = newKey();
  const failed = transaction(sql, (tx) =>
    once(tx, createProduct, key, async () => {
      throw new Error("no");
    }),
  );
  await expect(failed).rejects.toThrow("no");
  expect(await recall(sql, createProduct, key)).toBeUndefined();
  await make(key, "cup-1");
  expect(await effects(key)).toBe(1);
});

test("callers and methods have nothing to do with each other", async () => {
  const key = newKey();
  await make(key, "cup-1");
  const other = { ...key, caller: "grace", request: { product: { name: "Mug" } } };
  expect((await make(other, "mug-1")).product?.productId).toBe("mug-1");
  const released = await transaction(sql, (tx) =>
    once(tx, releaseStock, { ...key, request: { orderId: "a" } }, async () =>
      create(ReleaseStockResponseSchema),
    ),
  );
  expect(released.$typeName).toBe("shop.product.v1.ReleaseStockResponse");
});

test("a call without an id is done each time and not remembered", async () => {
  const key = { ...newKey(), requestId: "" };
  await make(key, "cup-1");
  expect((await make(key, "cup-2")).product?.productId).toBe("cup-2");
  expect(await effects(key)).toBe(2);
  expect(await recall(sql, createProduct, key)).toBeUndefined();
  expect(await sql`SELECT 1 FROM request WHERE request_id = ''`).toHaveLength(0);
});

test("a secret field is neither compared nor kept", async () => {
  const requestId = `request-${++count}`;
  const request = { email: "ada@example.org", displayName: "Ada", password: "correct horse" };
  const join = (password: string) =>
    transaction(sql, (tx) =>
      once(tx, createCustomer, { caller: "", requestId, request: { ...request, password } }, async () =>
        create(createCustomer.output, { customer: { customerId: password } }),
      ),
    );
  await join("correct horse");
  expect((await join("battery staple")).customer?.customerId).toBe("correct horse");
  const without = (password: string) =>
    transaction(sql, (tx) =>
      once(tx, createCustomer, { caller: "other", requestId, request: { ...request, password } }, async () =>
        create(createCustomer.output),
      ),
    );
  await without("anything");
  const rows = await sql`SELECT content FROM request WHERE request_id = ${requestId}`;
  expect(new Set(rows.map(({ content }) => content)).size).toBe(1);
});

test("what was asked stays as it was", async () => {
  const request = create(createCustomer.input, { email: "ada@example.org", password: "correct horse" });
  await transaction(sql, (tx) =>
    once(tx, createCustomer, { caller: "", requestId: `request-${++count}`, request }, async () =>
      create(createCustomer.output),
    ),
  );
  expect(request.password).toBe("correct horse");
});

test("a result is kept for a day, and then the id is free", async () => {
  const key = newKey();
  await make(key, "cup-1");
  await age(key, DAY_MIN - 1);
  expect((await make(key, "cup-2")).product?.productId).toBe("cup-1");
  await age(key, DAY_MIN + 1);
  expect(await recall(sql, createProduct, key)).toBeUndefined();
  const other = { ...key, request: { product: { name: "Mug" } } };
  expect((await make(other, "mug-1")).product?.productId).toBe("mug-1");
  expect((await make(other, "mug-2")).product?.productId).toBe("mug-1");
});

test("what was done before is recalled, and what was not is not", async () => {
  const key = newKey();
  expect(await recall(sql, createProduct, key)).toBeUndefined();
  await make(key, "cup-1");
  expect((await recall(sql, createProduct, key))?.product?.productId).toBe("cup-1");
});

test("results whose time is over are deleted, and no others", async () => {
  const [old, fresh] = [newKey(), newKey()];
  for (const key of [old, fresh]) await make(key, "cup-1");
  await age(old, DAY_MIN + 1);
  await age(fresh, DAY_MIN - 1);
  expect(await transaction(sql, pruneOnce)).toBe(1);
  const left =
    await sql`SELECT request_id FROM request WHERE request_id IN ${sql([old.requestId, fresh.requestId])}`;
  expect(left.map((row) => row.request_id)).toEqual([fresh.requestId]);
});

test("a result is kept for as long as the contract says, and for as long as the deployment says if that is longer", async () => {
  const hour = toyService({ order: { dedupeTtl: durationFromMs(3_600_000) } }).method.order;
  const ask = (key: Key) =>
    transaction(sql, (tx) =>
      once(tx, hour, { ...key, request: {} }, async () => {
        await tx`INSERT INTO effect VALUES (${key.requestId})`;
        return create(hour.output);
      }),
    );
  const served = (key: Key, dedupeTtlMs: number) => runWork({ ...WORK, dedupeTtlMs }, () => ask(key));
  const [stated, raised, lowered] = [newKey(), newKey(), newKey()];
  await ask(stated);
  await served(raised, 2 * 3_600_000);
  await served(lowered, 60_000);
  const left = async (minutes: number) => {
    for (const key of [stated, raised, lowered]) await age(key, minutes);
    const all = [stated, raised, lowered].map((key) => recall(sql, hour, { ...key, request: {} }));
    return (await Promise.all(all)).map((known) => known !== undefined);
  };
  expect(await left(59)).toEqual([true, true, true]);
  expect(await left(61)).toEqual([false, true, false]);
  await transaction(sql, pruneOnce);
  await ask(stated);
  await ask(raised);
  expect([await effects(stated), await effects(raised)]).toEqual([2, 1]);
  expect(await left(121)).toEqual([false, false, false]);
});
