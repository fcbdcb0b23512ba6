import { expect, test } from "vitest";
import { readScale, scaled } from "./scale.ts";

const SHOP = [
  { service: "product", ports: [50051, 50151] },
  { service: "order", ports: [50053] },
];
const NAMES = SHOP.map(({ service }) => service);

test("each service runs as often as it is told to, the others as they are", () => {
  expect(scaled(SHOP, readScale("order=3", NAMES))).toEqual([
    { service: "product", ports: [50051, 50151] },
    { service: "order", ports: [50053, 50153, 50253] },
  ]);
  expect(scaled(SHOP, readScale("product=1, order=2", NAMES)).map(({ ports }) => ports)).toEqual([
    [50051],
    [50053, 50153],
  ]);
  expect(scaled(SHOP, readScale("", NAMES))).toEqual(SHOP);
});

test.each([
  ["basket=2", "there is no service named basket; scale one of product, order"],
  ["=2", 'there is no service named ""'],
  ["order", 'scale order to a number from 1 to 9: order=2, not "order"'],
  ["order=0", "from 1 to 9"],
  ["order=10", "from 1 to 9"],
  ["order=two", "from 1 to 9"],
  ["order=1=2", "from 1 to 9"],
  ["order=2,order=3", "order is scaled twice"],
])("%s is refused", (text, problem) => {
  expect(() => readScale(text, NAMES)).toThrow(problem);
});

test("more processes than a machine runs well are refused", () => {
  expect(() => scaled(SHOP, { product: 9, order: 8 })).toThrow("that makes 17 processes; 16 are as many");
});
