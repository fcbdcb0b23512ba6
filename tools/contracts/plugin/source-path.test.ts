import { create } from "@bufbuild/protobuf";
import { SourceCodeInfoSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { editedContracts } from "../../../mesh/testing/edited-contracts.ts";
import { fileOf, sourcePath } from "./source-path.ts";

const { registry } = editedContracts(({ file }) => {
  file("shop/order/v1/order_service.proto").sourceCodeInfo = create(SourceCodeInfoSchema, {
    location: [{ path: [6, 0, 2, 0] }, { path: [6, 0, 2, 1, 4, 50610, 10] }],
  });
});

test("each thing has the path of its descriptor", () => {
  const service = registry.getService("shop.order.v1.OrderService");
  const message = registry.getMessage("shop.product.v1.BatchGetProductsRequest");
  const reasons = registry.getEnum("shop.order.v1.OrderError");
  expect(service && sourcePath(service)).toEqual([6, 0]);
  expect(service && sourcePath(service.method.getOrder as never)).toEqual([6, 0, 2, 1]);
  expect(message && sourcePath(message)).toEqual([4, 2]);
  expect(message?.fields[0] && sourcePath(message.fields[0])).toEqual([4, 2, 2, 0]);
  expect(reasons?.values[3] && sourcePath(reasons.values[3])).toEqual([5, 0, 2, 3]);
  expect(reasons && sourcePath(reasons.file)).toEqual([]);
  expect(reasons?.values[3] && fileOf(reasons.values[3]).proto.name).toBe("shop/order/v1/order_error.proto");
});

test("an option has its own line if the file tells it, else that of what it is stated for", () => {
  const methods = registry.getService("shop.order.v1.OrderService")?.methods ?? [];
  const [place, get] = methods;
  expect(get && sourcePath(get, policy)).toEqual([6, 0, 2, 1, 4, 50610, 10]);
  expect(place && sourcePath(place, policy)).toEqual([6, 0, 2, 0]);
});
