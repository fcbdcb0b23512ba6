import { Code, ConnectError } from "@connectrpc/connect";
import { CustomerService } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { OrderError } from "../../gen/shop/order/v1/order_error_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { euro, toCents } from "../../mesh/core/money.ts";
import type { Outcome } from "../../mesh/events/saga.ts";
import { type ClientOptions, meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { reasonOf } from "../../mesh/rpc/errors.ts";
import type { Settings } from "./config.ts";
import { type Line, type Order, refuse, type WantedLine } from "./order.ts";

/** The other services, in the words of this one. */
export type Clients = ReturnType<typeof openClients>;

/** What is known here of the others while they cannot be asked. */
export interface Replicas {
  knownPrices(productIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
  isKnownCustomer(customerId: string): Promise<boolean>;
}

/** Opens the ways to customer, product and payment. */
export function openClients(settings: Settings, replicas: Replicas, mesh?: ClientOptions) {
  const {
    customerTarget,
    customerTransport,
    productTarget,
    productTransport,
    paymentTarget,
    paymentTransport,
  } = settings;
  const targets = {
    customer: openTarget(
      { service: CustomerService, target: customerTarget, protocol: customerTransport },
      mesh,
    ),
    product: openTarget({ service: ProductService, target: productTarget, protocol: productTransport }, mesh),
    payment: openTarget({ service: PaymentService, target: paymentTarget, protocol: paymentTransport }, mesh),
  };
  const customers = meshClient(CustomerService, targets.customer, {
    fallback: {
      async getCustomer({ customerId }, error) {
        if (!(await replicas.isKnownCustomer(customerId))) throw error;
        return { customer: { customerId } };
      },
    },
  });
  const products = meshClient(ProductService, targets.product, {
    fallback: {
      async batchGetProducts({ productIds }, error) {
        const prices = await replicas.knownPrices(productIds);
        return {
          products: productIds.map((productId) => {
            const priceCents = prices.get(productId);
            // Nobody knows whether there is none, or whether we have not heard of it yet.
            if (priceCents === undefined) throw error;
            return { productId, price: euro(priceCents) };
          }),
        };
      },
    },
  });
  const payments = meshClient(PaymentService, targets.payment);

  return {
    targets: Object.values(targets),

    /** Throws CUSTOMER_NOT_FOUND if there is no such customer. While nobody can be asked, one that is known will do. */
    async checkCustomer(customerId: string): Promise<void> {
      await customers.getCustomer({ customerId }).catch((error) => {
        const metadata = { customer_id: customerId };
        throw is(error, Code.NotFound)
          ? refuse(OrderError.CUSTOMER_NOT_FOUND, `there is no customer ${customerId}`, { metadata })
          : error;
      });
    },

    /** The lines with today's prices, or those that were last heard of while nobody can be asked. Throws PRODUCT_NOT_FOUND if one names no product. */
    async price(lines: readonly WantedLine[]): Promise<Line[]> {
      const productIds = lines.map((line) => line.productId);
      const { products: found } = await products.batchGetProducts({ productIds }).catch((error) => {
        if (!is(error, Code.NotFound)) throw error;
        const productId = reasonOf(error)?.metadata.product_id ?? "";
        const metadata = { product_id: productId };
        throw refuse(OrderError.PRODUCT_NOT_FOUND, `there is no product ${productId}`, { metadata });
      });
      return lines.map(({ productId, quantity }, i) => {
        const price = found[i]?.price;
        if (!price) throw new Error(`the product service gave no price for ${productId}`);
        return { productId, quantity, unitPriceCents: toCents(price) };
      });
    },

    reserveStock: ({ orderId, lines }: Order) =>
      outcomeOf(products.reserveStock({ orderId, lines: wanted(lines) })),
    commitStock: (orderId: string) => outcomeOf(products.commitStock({ orderId })),
    releaseStock: (orderId: string) => outcomeOf(products.releaseStock({ orderId })),

    authorizePayment: ({ orderId, customerId, totalCents, paymentToken }: Order) =>
      outcomeOf(
        payments.authorizePayment({
          orderId,
          customerId,
          amount: euro(totalCents),
          paymentToken: paymentToken ?? "",
        }),
      ),
    capturePayment: (orderId: string) => outcomeOf(payments.capturePayment({ orderId })),
    voidPayment: (orderId: string) => outcomeOf(payments.voidPayment({ orderId })),
  };
}

function wanted(lines: readonly Line[]) {
  return lines.map(({ productId, quantity }) => ({ productId, quantity }));
}

function is(error: unknown, code: Code): boolean {
  return error instanceof ConnectError && error.code === code;
}

// These say that the participant has looked at the step and will not do it; of any other code nobody knows.
const REFUSALS: readonly Code[] = [
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
];

async function outcomeOf(call: Promise<unknown>): Promise<Outcome> {
  try {
    await call;
    return { kind: "done" };
  } catch (error) {
    if (!(error instanceof ConnectError) || !REFUSALS.includes(error.code))
      return { kind: "unanswered", error };
    return { kind: "refused", reason: reasonOf(error)?.reason ?? Code[error.code] ?? "UNKNOWN" };
  }
}
