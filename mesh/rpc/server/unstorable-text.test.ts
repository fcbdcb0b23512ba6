import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ServerReflectionRequestSchema } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { PlaceOrderRequestSchema } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { ImportProductsRequestSchema } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { unstorableTexts } from "./unstorable-text.ts";

const fields = (...violations: ReturnType<typeof unstorableTexts>) => violations.map(({ field }) => field);

test("texts with NUL are named wherever they are: in a field, a list, a map, a oneof", () => {
  const order = create(PlaceOrderRequestSchema, {
    paymentToken: "tok\0",
    lines: [{ productId: "fine" }, { productId: "\0" }],
  });
  expect(fields(...unstorableTexts(PlaceOrderRequestSchema, order))).toEqual([
    "lines[1].product_id",
    "payment_token",
  ]);
  const info = create(ErrorInfoSchema, { metadata: { good: "text", bad: "\0" } });
  expect(fields(...unstorableTexts(ErrorInfoSchema, info))).toEqual(['metadata["bad"]']);
  const asked = create(ServerReflectionRequestSchema, {
    messageRequest: { case: "fileByFilename", value: "\0" },
  });
  expect(fields(...unstorableTexts(ServerReflectionRequestSchema, asked))).toEqual(["file_by_filename"]);
});

test("what the contract says not to look into is left to whoever looks into it", () => {
  const row = create(ImportProductsRequestSchema, { product: { name: "\0" } });
  expect(unstorableTexts(ImportProductsRequestSchema, row)).toEqual([]);
});

test("any other text is fine, absent messages too", () => {
  expect(
    unstorableTexts(PlaceOrderRequestSchema, create(PlaceOrderRequestSchema, { customerId: "é\u0001" })),
  ).toEqual([]);
});
