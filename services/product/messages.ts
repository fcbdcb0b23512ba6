import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Product as ProductMessage,
  ProductSchema,
  ReservationSchema,
  ReservationState,
} from "../../gen/shop/product/v1/product_pb.ts";
import type { FieldViolation } from "../../mesh/core/errors.ts";
import { newId } from "../../mesh/core/ids.ts";
import { euro, toCents } from "../../mesh/core/money.ts";
import { violationsOf } from "../../mesh/rpc/server/validation.ts";
import { averageOf, type Product, type Reservation, type StoredProduct } from "./product.ts";

/** A product as the contract says it. */
export function toMessage(product: StoredProduct): ProductMessage {
  return create(ProductSchema, {
    productId: product.productId,
    name: product.name,
    description: product.description,
    price: euro(product.priceCents),
    availableStock: product.availableStock,
    rating: { average: averageOf(product), count: product.ratingCount },
    createTime: timestampFromDate(product.createdAt),
    updateTime: timestampFromDate(product.updatedAt),
  });
}

/** A product as it is kept; one without an id gets one. The message must have passed its rules. */
export function toProduct(message: ProductMessage): Product {
  const { productId, name, description, price, availableStock } = message;
  if (!price) throw new Error("a product that passed its rules has a price");
  return { productId: productId || newId(), name, description, priceCents: toCents(price), availableStock };
}

/** What is wrong with a product that the interceptor has not looked into. */
export function violationsOfProduct(message: ProductMessage): readonly FieldViolation[] {
  return violationsOf(ProductSchema, message).map((v) => ({ ...v, field: `product.${v.field}` }));
}

/** A reservation as the contract says it. */
export function toReservationMessage({ orderId, lines, state }: Reservation) {
  return create(ReservationSchema, {
    orderId,
    lines: lines.map((line) => ({ ...line })),
    state: ReservationState[state],
  });
}
