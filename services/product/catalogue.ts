import { ProductError } from "../../gen/shop/product/v1/product_error_pb.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { priceChanged, productCreated } from "./events.ts";
import { type Product, productNotFound, refuse, type StoredProduct } from "./product.ts";
import { findProducts, insertProduct, lockProduct, updateProduct } from "./store.ts";

/** Adds a product and announces it. */
export async function createProduct(tx: Tx, product: Product): Promise<StoredProduct> {
  if (!(await insertProduct(tx, product))) {
    throw refuse(ProductError.PRODUCT_EXISTS, `there is a product ${product.productId} already`);
  }
  await productCreated(tx, product);
  return read(tx, product.productId);
}

/** Changes a product and announces a new price. */
export async function changeProduct(
  tx: Tx,
  productId: string,
  change: (before: StoredProduct) => Product,
): Promise<StoredProduct> {
  const before = await lockProduct(tx, productId);
  if (!before) throw productNotFound(productId);
  const after = change(before);
  await updateProduct(tx, after);
  await priceChanged(tx, before, after);
  return read(tx, productId);
}

/** Adds a product, or replaces the one with its id. Tells which. */
export async function putProduct(tx: Tx, product: Product): Promise<"created" | "updated"> {
  if (await insertProduct(tx, product)) {
    await productCreated(tx, product);
    return "created";
  }
  await changeProduct(tx, product.productId, () => product);
  return "updated";
}

async function read(tx: Tx, productId: string): Promise<StoredProduct> {
  const [product] = await findProducts(tx, [productId]);
  if (!product) throw productNotFound(productId);
  return product;
}
