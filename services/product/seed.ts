import type { Sql } from "../../mesh/store/connect.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { productCreated } from "./events.ts";
import type { Product } from "./product.ts";
import { insertProduct } from "./store.ts";

const PRODUCTS: readonly Product[] = [
  {
    productId: "prod-espresso",
    name: "Espresso beans, 1 kg",
    description: "Dark roast for the machine or the moka pot.",
    priceCents: 1_299,
    availableStock: 100,
  },
  {
    productId: "prod-grinder",
    name: "Burr grinder",
    description: "Conical steel burrs, forty steps.",
    priceCents: 8_900,
    availableStock: 5,
  },
  {
    productId: "prod-rare",
    name: "Lever machine, restored",
    description: "There is one.",
    priceCents: 99_900,
    availableStock: 1,
  },
  {
    productId: "prod-gone",
    name: "Cup of the first edition",
    description: "Sold out.",
    priceCents: 2_500,
    availableStock: 0,
  },
];

/** Puts the well-known products in; what is there stays as it is. */
export async function seedDemo(sql: Sql): Promise<void> {
  for (const product of PRODUCTS) {
    await transaction(sql, async (tx) => {
      if (await insertProduct(tx, product)) await productCreated(tx, product);
    });
  }
}
