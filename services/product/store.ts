import type { Queries } from "../../mesh/store/connect.ts";
import { liveBuildIn } from "../../mesh/store/live-build.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Line, Product, Ratings, Reservation, Restock, StoredProduct } from "./product.ts";

interface ProductRow {
  readonly product_id: string;
  readonly name: string;
  readonly description: string;
  readonly price_cents: number;
  readonly available_stock: number;
  readonly rating_sum: number;
  readonly rating_count: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

function columns(sql: Queries) {
  return sql`
    p.product_id, p.name, p.description, p.price_cents, p.available_stock, p.created_at, p.updated_at,
    coalesce(r.sum, 0) AS rating_sum, coalesce(r.count, 0) AS rating_count
    FROM product p
    LEFT JOIN rating r ON r.product_id = p.product_id AND r.build = ${liveBuildIn(sql, "ratings")}`;
}

function toProduct(row: ProductRow): StoredProduct {
  return {
    productId: row.product_id,
    name: row.name,
    description: row.description,
    priceCents: row.price_cents,
    availableStock: row.available_stock,
    ratingSum: row.rating_sum,
    ratingCount: row.rating_count,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The products with these ids, in no order; ids that name none are left out. */
export async function findProducts(sql: Queries, productIds: readonly string[]): Promise<StoredProduct[]> {
  const rows = await sql<ProductRow[]>`SELECT ${columns(sql)} WHERE p.product_id = ANY (${[...productIds]})`;
  return rows.map(toProduct);
}

/** Products by id after `after`, those with `query` in name or description. */
export async function listProducts(
  sql: Queries,
  { query, after, limit }: { query: string; after: string; limit: number },
): Promise<StoredProduct[]> {
  const pattern = `%${query.replace(/[\\%_]/g, "\\$&")}%`;
  const rows = await sql<ProductRow[]>`
    SELECT ${columns(sql)}
    WHERE p.product_id > ${after} AND (p.name ILIKE ${pattern} OR p.description ILIKE ${pattern})
    ORDER BY p.product_id LIMIT ${limit}`;
  return rows.map(toProduct);
}

/** What a product costs, and which of the product's events are in it. */
export interface ProductPrice {
  readonly productId: string;
  readonly priceCents: number;
  /** The number of the product's last event that is in it. */
  readonly version: number;
}

/** What each product costs that has announced something, by product after `after`. */
export async function listPrices(
  sql: Queries,
  { stream, after, limit }: { stream: string; after: string; limit: number },
): Promise<ProductPrice[]> {
  // In one statement, so that it is the number of the last event that this price has published.
  return sql<ProductPrice[]>`
    SELECT k.key AS "productId", p.price_cents AS "priceCents", k.last_seq AS version
    FROM event_key k JOIN product p ON p.product_id = k.key
    WHERE k.stream = ${stream} AND k.key > ${after} ORDER BY k.key LIMIT ${limit}`;
}

/** Adds a product. False if its id is taken. */
export async function insertProduct(tx: Tx, product: Product): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO product (product_id, name, description, price_cents, available_stock)
    VALUES (${product.productId}, ${product.name}, ${product.description}, ${product.priceCents}, ${product.availableStock})
    ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Reads a product and keeps others from changing it until the transaction ends. */
export async function lockProduct(tx: Tx, productId: string): Promise<StoredProduct | undefined> {
  await tx`SELECT 1 FROM product WHERE product_id = ${productId} FOR UPDATE`;
  return (await findProducts(tx, [productId]))[0];
}

/** Writes all fields of a product. */
export async function updateProduct(tx: Tx, product: Product): Promise<void> {
  await tx`
    UPDATE product
    SET name = ${product.name}, description = ${product.description}, price_cents = ${product.priceCents},
        available_stock = ${product.availableStock}, updated_at = now()
    WHERE product_id = ${product.productId}`;
}

/** Takes pieces of a product. Returns how many are left, or undefined if there are not as many. */
export async function takeStock(tx: Tx, { productId, quantity }: Line): Promise<number | undefined> {
  const [row] = await tx<{ available_stock: number }[]>`
    UPDATE product SET available_stock = available_stock - ${quantity}, updated_at = now()
    WHERE product_id = ${productId} AND available_stock >= ${quantity} RETURNING available_stock`;
  return row?.available_stock;
}

/** Gives pieces of a product back. Returns how many are available now. */
export async function returnStock(tx: Tx, { productId, quantity }: Line): Promise<number> {
  const [row] = await tx<{ available_stock: number }[]>`
    UPDATE product SET available_stock = available_stock + ${quantity}, updated_at = now()
    WHERE product_id = ${productId} RETURNING available_stock`;
  if (!row) throw new Error(`product ${productId} of a reservation is gone`);
  return row.available_stock;
}

/** Begins a reservation. False if the order has one: then that one stays. */
export async function insertReservation(
  tx: Tx,
  orderId: string,
  state: Reservation["state"],
): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO reservation (order_id, state) VALUES (${orderId}, ${state}) ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** Adds what a reservation holds. */
export async function insertLines(tx: Tx, orderId: string, lines: readonly Line[]): Promise<void> {
  const rows = lines.map((line) => ({
    order_id: orderId,
    product_id: line.productId,
    quantity: line.quantity,
  }));
  await tx`INSERT INTO reservation_line ${tx(rows)}`;
}

/** Reads a reservation and keeps others from changing it until the transaction ends. */
export async function lockReservation(tx: Tx, orderId: string): Promise<Reservation | undefined> {
  const [row] = await tx<{ state: Reservation["state"] }[]>`
    SELECT state FROM reservation WHERE order_id = ${orderId} FOR UPDATE`;
  if (!row) return undefined;
  const lines = await tx<{ product_id: string; quantity: number }[]>`
    SELECT product_id, quantity FROM reservation_line WHERE order_id = ${orderId} ORDER BY product_id`;
  return {
    orderId,
    state: row.state,
    lines: lines.map((line) => ({ productId: line.product_id, quantity: line.quantity })),
  };
}

/** Records what became of a reservation. */
export async function setReservationState(
  tx: Tx,
  orderId: string,
  state: Reservation["state"],
): Promise<void> {
  await tx`UPDATE reservation SET state = ${state}, updated_at = now() WHERE order_id = ${orderId}`;
}

/** Adds to what the reviews of a product say; negative numbers take back. */
export async function addRating(tx: Tx, build: number, { productId, sum, count }: Ratings): Promise<void> {
  await tx`
    INSERT INTO rating AS r (build, product_id, sum, count) VALUES (${build}, ${productId}, ${sum}, ${count})
    ON CONFLICT (build, product_id) DO UPDATE
      SET sum = r.sum + EXCLUDED.sum, count = r.count + EXCLUDED.count, updated_at = now()`;
}

/** Deletes the ratings of a build. */
export async function dropRatings(tx: Tx, build: number): Promise<void> {
  await tx`DELETE FROM rating WHERE build = ${build}`;
}

/** Keeps what the supplier is to bring. False if its id is known: then that one stays. */
export async function insertRestock(tx: Tx, { restockId, productId, quantity }: Restock): Promise<boolean> {
  const { count } = await tx`
    INSERT INTO restock (restock_id, product_id, quantity) VALUES (${restockId}, ${productId}, ${quantity})
    ON CONFLICT DO NOTHING`;
  return count === 1;
}

/** What the supplier was asked to bring. */
export async function findRestock(tx: Tx, restockId: string): Promise<Restock> {
  const [row] = await tx<{ product_id: string; quantity: number }[]>`
    SELECT product_id, quantity FROM restock WHERE restock_id = ${restockId}`;
  if (!row) throw new Error(`there is no restock ${restockId}`);
  return { restockId, productId: row.product_id, quantity: row.quantity };
}
