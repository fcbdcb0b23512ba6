import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../../core/errors.ts";
import { testServer } from "../../testing/server.ts";

const BUF = resolve(import.meta.dirname, "../../../node_modules/.bin/buf");

const server = await testServer(ProductService, {
  getProduct({ productId }) {
    if (productId === "gone") {
      const init = { code: Code.NotFound, reason: "PRODUCT_NOT_FOUND", domain: "shop.product.v1" };
      throw new AppError("there is no product gone", init);
    }
    return { product: { productId, name: "Beans" } };
  },
  async *watchStock({ productIds }) {
    for (const productId of productIds) yield { productId, availableStock: 7 };
  },
});

/** Calls the server as a stranger would, who knows it by reflection alone. */
async function bufCurl(protocol: string, method: string, data: unknown) {
  const url = `${server.url}/${ProductService.typeName}/${method}`;
  const args = ["curl", "--http2-prior-knowledge", "--protocol", protocol, "-d", JSON.stringify(data), url];
  // Away from this repository's own contracts.
  const { stdout } = await promisify(execFile)(BUF, args, { cwd: tmpdir() });
  return stdout;
}

test.each(["grpc", "grpcweb", "connect"])("buf curl --protocol %s", async (protocol) => {
  const answer = await bufCurl(protocol, "GetProduct", { product_id: "p1" });
  expect(JSON.parse(answer)).toEqual({ product: { productId: "p1", name: "Beans" } });

  const stocks = await bufCurl(protocol, "WatchStock", { product_ids: ["p1", "p2"] });
  expect(stocks.match(/"productId": ?"p\d"/g)).toHaveLength(2);

  const refused = await bufCurl(protocol, "GetProduct", { product_id: "gone" }).catch((error) => error);
  const error = JSON.parse(refused.stderr);
  expect(error).toMatchObject({ code: "not_found", message: "there is no product gone" });
  expect(error.details[0].type).toBe("google.rpc.ErrorInfo");
  const info = fromBinary(ErrorInfoSchema, Buffer.from(error.details[0].value, "base64"));
  expect(info.reason).toBe("PRODUCT_NOT_FOUND");

  const invalid = await bufCurl(protocol, "GetProduct", { product_id: "" }).catch((error) => error);
  expect(JSON.parse(invalid.stderr)).toMatchObject({ code: "invalid_argument" });
});
