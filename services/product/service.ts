import { create, type MessageShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { ProductCreatedSchema } from "../../gen/shop/product/v1/product_event_pb.ts";
import { type Product as ProductMessage, ProductSchema } from "../../gen/shop/product/v1/product_pb.ts";
import {
  CreateProductResponseSchema,
  ProductService,
  type UpdateProductRequest,
} from "../../gen/shop/product/v1/product_service_pb.ts";
import { eventContract } from "../../mesh/contract/event.ts";
import { euro } from "../../mesh/core/money.ts";
import { untilReplicaHas } from "../../mesh/events/replica.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import { invalidRequest } from "../../mesh/rpc/server/validation.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { Changes, watch } from "../../mesh/store/watch.ts";
import { changeProduct, createProduct } from "./catalogue.ts";
import { importProducts } from "./import.ts";
import { toMessage, toProduct, toReservationMessage, violationsOfProduct } from "./messages.ts";
import { productNotFound, type StoredProduct } from "./product.ts";
import { commit, release, reserve } from "./reservations.ts";
import { findProducts, listPrices, listProducts } from "./store.ts";

/** The RPCs of ProductService. */
export function productService(sql: Sql): ServiceImpl<typeof ProductService> {
  const stockChanges = new Changes();

  return {
    async getProduct({ productId, minRatingVersion: version }, { signal }) {
      await untilReplicaHas(
        { service: ProductService, subscription: "ratings", key: productId, version },
        { sql, signal },
      );
      const [product] = await inOrder(sql, [productId]);
      return { product: product && toMessage(product) };
    },

    async batchGetProducts({ productIds }) {
      return { products: (await inOrder(sql, productIds)).map(toMessage) };
    },

    async listProducts({ pageSize: asked, pageToken, query }) {
      const [after = ""] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const found = await listProducts(sql, { query, after, limit: size + 1 });
      const [products, nextPageToken] = cutPage(found, size, (product) => [product.productId]);
      return { products: products.map(toMessage), nextPageToken };
    },

    async listPrices({ pageSize: asked, pageToken }) {
      const [after = ""] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const { stream } = eventContract(ProductCreatedSchema);
      const found = await listPrices(sql, { stream, after, limit: size + 1 });
      const [page, nextPageToken] = cutPage(found, size, ({ productId }) => [productId]);
      const prices = page.map(({ productId, priceCents, version }) => ({
        productId,
        price: euro(priceCents),
        version,
      }));
      return { prices, nextPageToken };
    },

    createProduct(request) {
      const { product: message, requestId } = request;
      const product = toProduct(message ?? create(ProductSchema));
      return transaction(sql, (tx) =>
        once(tx, ProductService.method.createProduct, { caller: "", requestId, request }, async () =>
          create(CreateProductResponseSchema, { product: toMessage(await createProduct(tx, product)) }),
        ),
      );
    },

    async updateProduct(request) {
      const productId = request.product?.productId ?? "";
      if (productId === "")
        throw invalidRequest([{ field: "product.product_id", description: "is missing" }]);
      const product = await transaction(sql, (tx) =>
        changeProduct(tx, productId, (before) => toProduct(merged(before, request))),
      );
      stockChanges.announce(productId);
      return { product: toMessage(product) };
    },

    async reserveStock({ orderId, lines }) {
      const reservation = await transaction(sql, (tx) => reserve(tx, orderId, lines));
      for (const { productId } of lines) stockChanges.announce(productId);
      return { reservation: toReservationMessage(reservation) };
    },

    async commitStock({ orderId }) {
      return { reservation: toReservationMessage(await transaction(sql, (tx) => commit(tx, orderId))) };
    },

    async releaseStock({ orderId }) {
      const reservation = await transaction(sql, (tx) => release(tx, orderId));
      for (const { productId } of reservation.lines) stockChanges.announce(productId);
      return { reservation: toReservationMessage(reservation) };
    },

    async *watchStock({ productIds }, { signal }) {
      const seen = new Map<string, number>();
      const read = () => inOrder(sql, productIds);
      const stocks = (products: readonly StoredProduct[]) => products.map((p) => p.availableStock).join();
      for await (const products of watch(read, stocks, { changes: stockChanges, keys: productIds, signal })) {
        for (const { productId, availableStock } of products) {
          if (seen.get(productId) === availableStock) continue;
          seen.set(productId, availableStock);
          yield { productId, availableStock };
        }
      }
    },

    importProducts: (rows) => importProducts(sql, rows),
  };
}

/** The products in the order asked for. Throws NOT_FOUND for the first id that names none. */
async function inOrder(sql: Sql, productIds: readonly string[]): Promise<StoredProduct[]> {
  const found = new Map((await findProducts(sql, productIds)).map((product) => [product.productId, product]));
  return productIds.map((productId) => {
    const product = found.get(productId);
    if (!product) throw productNotFound(productId);
    return product;
  });
}

const CHANGEABLE = ["name", "description", "price", "availableStock"] as const;

/** The product with the fields of the mask as the request has them. Throws if the result breaks a rule. */
function merged(before: StoredProduct, { product, updateMask }: UpdateProductRequest): ProductMessage {
  const after: MessageShape<typeof ProductSchema> = toMessage(before);
  const paths = updateMask?.paths ?? [];
  const given = product ?? create(ProductSchema);
  for (const field of CHANGEABLE) {
    if (paths.includes("*") || paths.includes(ProductSchema.field[field].name)) {
      Object.assign(after, { [field]: given[field] });
    }
  }
  const violations = violationsOfProduct(after);
  if (violations.length > 0) throw invalidRequest(violations);
  return after;
}
