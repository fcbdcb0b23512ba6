import type { DescEnum } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { MeshError, MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { OrderStateSchema } from "../../gen/shop/order/v1/order_pb.ts";
import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { AppError } from "../core/errors.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import { reasonName, refusals, refuseByMesh } from "./reasons.ts";

const ofShop = (await generatedFiles("shop", "_error_pb.ts")).flatMap((file) => file.enums);

test("every service of the shop has its reasons", () => {
  expect(ofShop.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["CustomerError", "OrderError", "PaymentError", "ProductError", "ReviewError"]),
  );
});

describe.each([MeshErrorSchema, ...ofShop].map((reasons) => [reasons.typeName, reasons] as const))(
  "%s",
  (_, reasons: DescEnum) => {
    const values = reasons.values.filter(({ number }) => number !== 0);

    test("gives each of its reasons a code of an error", () => {
      const refuse = refusals(reasons);
      expect(values.length).toBeGreaterThan(0);
      for (const { number } of values) {
        const { code } = refuse(number, "text");
        expect(code).toBeGreaterThanOrEqual(Code.Canceled);
        expect(code).toBeLessThanOrEqual(Code.Unauthenticated);
      }
    });

    test("names each of them without the prefix", () => {
      const prefix = `${reasons.name.replace(/(?<=.)([A-Z])/g, "_$1").toUpperCase()}_`;
      for (const { number, name } of values) {
        expect(name.startsWith(prefix)).toBe(true);
        expect(reasonName(reasons, number)).toBe(name.slice(prefix.length));
      }
    });
  },
);

test("a refusal carries code, reason and domain from the contract, and what it was given", () => {
  const refuse = refusals<ProductError>(ProductErrorSchema);
  const cause = new Error("below");
  const details = { metadata: { product_id: "p1" }, violations: [{ field: "f", description: "d" }], cause };
  const refusal = refuse(ProductError.OUT_OF_STOCK, "only 3 are left", details);
  expect(refusal).toBeInstanceOf(AppError);
  expect(refusal).toMatchObject({
    message: "only 3 are left",
    code: Code.FailedPrecondition,
    reason: "OUT_OF_STOCK",
    domain: "shop.product.v1",
    ...details,
  });
});

test("the mesh's own reasons have a domain of their own", () => {
  expect(refuseByMesh(MeshError.DRAINING, "stopping")).toMatchObject({
    code: Code.Unavailable,
    reason: "DRAINING",
    domain: "mesh.weft",
  });
});

test("reasons without a code are refused at start, by name", () => {
  expect(() => refusals(OrderStateSchema)).toThrow(/OrderState\.ORDER_STATE_PENDING states no/);
});

test("a reason that is not declared is a mistake of ours, not of a caller", () => {
  expect(() => refusals(ProductErrorSchema)(99, "x")).toThrow("shop.product.v1.ProductError has no value 99");
});
