import { expect, test } from "vitest";
import { addToBasket, openBasket, pieces, removeFromBasket, setQuantity } from "./basket.ts";

/** A browser's storage. */
function storage(kept?: string): Storage {
  const values = new Map(kept === undefined ? [] : [["weft.basket", kept]]);
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
    removeItem: (key: string) => void values.delete(key),
  } as Storage;
}

const beans = { productId: "prod-espresso", name: "Beans", quantity: 1 };

test("more of a product goes into its line", () => {
  const basket = openBasket(storage());
  addToBasket(basket, beans);
  addToBasket(basket, { ...beans, productId: "prod-grinder" });
  addToBasket(basket, { ...beans, quantity: 2 });
  expect(basket.get().map(({ productId, quantity }) => [productId, quantity])).toEqual([
    ["prod-espresso", 3],
    ["prod-grinder", 1],
  ]);
  expect(pieces(basket.get())).toBe(4);
  setQuantity(basket, "prod-espresso", 1);
  removeFromBasket(basket, "prod-grinder");
  expect(basket.get()).toEqual([beans]);
});

test("the basket is there the next time", () => {
  const kept = storage();
  addToBasket(openBasket(kept), beans);
  expect(openBasket(kept).get()).toEqual([beans]);
});

test.each(["{", "7", "null", '[{"productId":"p"}]', '[{"productId":"p","name":"n","quantity":"2"}]'])(
  "%s in the storage is no basket",
  (kept) => {
    expect(openBasket(storage(kept)).get()).toEqual([]);
  },
);
