import { create } from "@bufbuild/protobuf";
import {
  type ImportProductsRequest,
  type ImportProductsResponse,
  ImportProductsResponseSchema,
} from "../../gen/shop/product/v1/product_service_pb.ts";
import { AppError, type FieldViolation } from "../../mesh/core/errors.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { putProduct } from "./catalogue.ts";
import { toProduct, violationsOfProduct } from "./messages.ts";

const ERRORS_KEPT = 100;

/** Takes rows as they come, each in a transaction of its own; a bad one is reported, and the next one is taken. */
export async function importProducts(
  sql: Sql,
  rows: AsyncIterable<ImportProductsRequest>,
): Promise<ImportProductsResponse> {
  const result = create(ImportProductsResponseSchema);
  let row = 0;
  const fail = (productId: string, violations: readonly FieldViolation[]) => {
    result.failedCount++;
    const errors = violations.slice(0, ERRORS_KEPT - result.errors.length);
    result.errors.push(
      ...errors.map((violation) => ({
        $typeName: "shop.product.v1.ImportProductsRowError" as const,
        row,
        productId,
        ...violation,
      })),
    );
  };

  for await (const { product } of rows) {
    row++;
    if (!product) {
      fail("", [{ field: "product", description: "is missing" }]);
      continue;
    }
    // Without an id a repeated import would make the product again.
    const missing =
      product.productId === "" ? [{ field: "product.product_id", description: "is missing" }] : [];
    const violations = [...missing, ...violationsOfProduct(product)];
    if (violations.length > 0) {
      fail(product.productId, violations);
      continue;
    }
    try {
      const done = await transaction(sql, (tx) => putProduct(tx, toProduct(product)));
      if (done === "created") result.createdCount++;
      else result.updatedCount++;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      fail(product.productId, [{ field: "", description: error.message }]);
    }
  }
  return result;
}
