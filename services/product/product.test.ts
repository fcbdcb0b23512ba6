import { expect, test } from "vitest";
import { AppError } from "../../mesh/core/errors.ts";
import {
  averageOf,
  becameLow,
  checkSameReservation,
  inLockOrder,
  LOW_STOCK,
  type Reservation,
  type StoredProduct,
} from "./product.ts";

test("stock becomes low once, when it falls below the threshold", () => {
  expect(becameLow(LOW_STOCK - 1, 1)).toBe(true);
  expect(becameLow(LOW_STOCK, 1)).toBe(false);
  expect(becameLow(LOW_STOCK - 2, 1)).toBe(false);
  expect(becameLow(0, LOW_STOCK)).toBe(true);
});

test("the average of no ratings is 0", () => {
  const product = { ratingSum: 0, ratingCount: 0 } as StoredProduct;
  expect(averageOf(product)).toBe(0);
  expect(averageOf({ ...product, ratingSum: 9, ratingCount: 2 })).toBe(4.5);
});

test("all orders lock products in one order", () => {
  const lines = [
    { productId: "b", quantity: 1 },
    { productId: "a", quantity: 2 },
  ];
  expect(inLockOrder(lines).map(({ productId }) => productId)).toEqual(["a", "b"]);
});

const held: Reservation = {
  orderId: "order-1",
  state: "RESERVED",
  lines: [
    { productId: "a", quantity: 2 },
    { productId: "b", quantity: 1 },
  ],
};

function refusalFor(reservation: Reservation, lines: Reservation["lines"]): string | undefined {
  try {
    checkSameReservation(reservation, lines);
    return undefined;
  } catch (error) {
    return error instanceof AppError ? error.reason : String(error);
  }
}

test("reserving again is fine for the same lines in any order, and for nothing else", () => {
  expect(refusalFor(held, [...held.lines].reverse())).toBeUndefined();
  expect(refusalFor(held, [{ productId: "a", quantity: 2 }])).toBe("RESERVATION_DIFFERS");
  expect(refusalFor(held, [{ productId: "a", quantity: 3 }, held.lines[1] as never])).toBe(
    "RESERVATION_DIFFERS",
  );
  expect(refusalFor({ ...held, state: "COMMITTED" }, held.lines)).toBeUndefined();
  expect(refusalFor({ ...held, state: "RELEASED" }, held.lines)).toBe("RESERVATION_RELEASED");
});
