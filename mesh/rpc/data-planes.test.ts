import { connect } from "node:http2";
import { afterEach, describe, expect, inject, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../testing/at-end.ts";
import { testServer } from "../testing/server.ts";
import { meshClient } from "./client/client.ts";
import { DATA_PLANES, dataPlaneOf, useDataPlane } from "./data-planes.ts";

afterEach(() => useDataPlane(inject("dataPlane")));

test("its own is the default, and a name that is none is refused with those that are", () => {
  expect(DATA_PLANES).toEqual(["weft", "grpc-js", "connect-node"]);
  expect(() => dataPlaneOf("grpc")).toThrow(
    "there is no data plane grpc; there are weft, grpc-js, connect-node",
  );
  expect(() => useDataPlane("grpc")).toThrow("there is no data plane grpc");
  useDataPlane("grpc-js");
  expect(dataPlaneOf()).toBe(dataPlaneOf("grpc-js"));
});

describe.each(DATA_PLANES)("a server on %s", (theirs) => {
  test.each(DATA_PLANES)("is called by %s, by both protocols", async (ours) => {
    const server = await testServer(
      ProductService,
      { getProduct: ({ productId }) => ({ product: { productId } }) },
      { dataPlane: dataPlaneOf(theirs) },
    );
    for (const protocol of ["grpc", "connect"] as const) {
      const open = dataPlaneOf(ours)[protocol];
      const transport = open(server.endpoint, { interceptors: [], maxMessageBytes: 2 ** 20 });
      atEnd(async () => transport.close());
      const { product } = await meshClient(ProductService, transport).getProduct({ productId: "p1" });
      expect(product?.productId).toBe("p1");
    }
  });

  test("answers pages over HTTP/2", async () => {
    const server = await testServer(ProductService, {}, { dataPlane: dataPlaneOf(theirs) });
    const session = connect(server.url);
    atEnd(async () => session.destroy());
    let body = "";
    for await (const part of session.request({ ":path": "/healthz" })) body += part;
    expect(body).toBe("ok\n");
  });
});
