import type { Transport } from "@connectrpc/connect";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import type { OwnedReadModel } from "../../mesh/app/serve.ts";
import { toCents } from "../../mesh/core/money.ts";
import type { KeySnapshot } from "../../mesh/events/read-model.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { pages } from "../../mesh/rpc/client/pages.ts";
import { customerHandlers, productHandlers } from "./events.ts";
import { dropCustomers, dropPrices, keepCustomer, keepPrice } from "./store.ts";

/** What products cost: a read model of the product service's events. */
export const products: OwnedReadModel = {
  owner: "product",
  handlers: productHandlers,
  snapshot: pricesOfOwner,
  drop: dropPrices,
};

/** Who is a customer: a read model of the customer service's events. */
export const customers: OwnedReadModel = {
  owner: "customer",
  handlers: customerHandlers,
  snapshot: customersOfOwner,
  drop: dropCustomers,
};

/** All prices as the product service knows them. */
async function* pricesOfOwner(way: Transport, signal: AbortSignal): AsyncGenerator<KeySnapshot> {
  const catalogue = meshClient(ProductService, way);
  const listed = pages((pageToken) => catalogue.listPrices({ pageToken, pageSize: 100 }, { signal }));
  for await (const { prices } of listed) {
    for (const { productId, price, version } of prices) {
      yield {
        key: productId,
        version,
        async write(tx, build) {
          if (price) await keepPrice(tx, build, productId, toCents(price));
        },
      };
    }
  }
}

/** All customers as the customer service knows them. */
async function* customersOfOwner(way: Transport, signal: AbortSignal): AsyncGenerator<KeySnapshot> {
  const accounts = meshClient(CustomerService, way);
  const listed = pages((pageToken) => accounts.listCustomerIds({ pageToken, pageSize: 100 }, { signal }));
  for await (const { customers: page } of listed) {
    for (const { customerId, version } of page)
      yield { key: customerId, version, write: (tx, build) => keepCustomer(tx, build, customerId) };
  }
}
