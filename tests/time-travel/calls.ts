import {
  type DescMethod,
  type DescService,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { reasonOf } from "../../mesh/rpc/errors.ts";

/** What one client of the shop goes through: names that nobody else uses, and what it was answered so far. */
export interface Journey {
  /** Begins every id that it makes up. */
  readonly id: string;
  /** The last answer of each RPC, by its name. */
  readonly answers: Map<string, JsonObject>;
}

/** A call of the shop, in the JSON of every release, and what must be in its answer. */
interface Call {
  readonly method: string;
  readonly request: (journey: Journey) => JsonObject;
  /** A part of the answer; or the reason of a refusal. */
  readonly expects: JsonValue | { readonly refusal: string };
  /** True if what it needs comes by events, a moment later. */
  readonly isPatient?: true;
}

const PRODUCT = "shop.product.v1.ProductService/";
const ORDER = "shop.order.v1.OrderService/";
const PAYMENT = "shop.payment.v1.PaymentService/";
const CUSTOMER = "shop.customer.v1.CustomerService/";
const REVIEW = "shop.review.v1.ReviewService/";
const REVIEW_V2 = "shop.review.v2.ReviewService/";
const STOREFRONT = "shop.storefront.v1.StorefrontService/";
const NOTIFICATION = "shop.notification.v1.NotificationService/";
const AUDIT = "shop.audit.v1.AuditService/";

const EUROS = { currencyCode: "EUR", units: "5" };
const ESPRESSO = "prod-espresso";
const line = (productId: string) => [{ productId, quantity: 1 }];
const orderId = ({ answers }: Journey) =>
  ((answers.get("PlaceOrder")?.order as JsonObject)?.orderId as string) ?? "";

const reviewId = ({ answers }: Journey) =>
  ((answers.get("CreateReview")?.review as JsonObject)?.reviewId as string) ?? "";

/** One call at least of every RPC of the shop, each of which a client of any release may make of any other. */
const CALLS: readonly Call[] = [
  {
    method: `${PRODUCT}GetProduct`,
    request: () => ({ productId: ESPRESSO }),
    expects: { product: { productId: ESPRESSO } },
  },
  {
    method: `${PRODUCT}GetProduct`,
    request: () => ({ productId: "none" }),
    expects: { refusal: "PRODUCT_NOT_FOUND" },
  },
  {
    method: `${PRODUCT}GetProduct`,
    request: () => ({ productId: "no good" }),
    expects: { refusal: "INVALID_REQUEST" },
  },
  {
    method: `${PRODUCT}BatchGetProducts`,
    request: () => ({ productIds: [ESPRESSO] }),
    expects: { products: [{ productId: ESPRESSO }] },
  },
  { method: `${PRODUCT}ListProducts`, request: () => ({ pageSize: 1 }), expects: { products: [{}] } },
  { method: `${PRODUCT}ListPrices`, request: () => ({ pageSize: 1 }), expects: { prices: [{}] } },
  {
    method: `${PRODUCT}CreateProduct`,
    request: ({ id }) => ({
      product: { productId: `${id}-p`, name: "Time machine", price: EUROS, availableStock: 9 },
      requestId: `${id}-create`,
    }),
    expects: { product: { name: "Time machine" } },
  },
  {
    method: `${PRODUCT}UpdateProduct`,
    request: ({ id }) => ({
      product: { productId: `${id}-p`, price: { currencyCode: "EUR", units: "6" } },
      updateMask: "price",
    }),
    expects: { product: { price: { units: "6" } } },
  },
  {
    method: `${PRODUCT}ReserveStock`,
    request: ({ id }) => ({ orderId: `${id}-o`, lines: line(`${id}-p`) }),
    expects: { reservation: { state: "RESERVATION_STATE_RESERVED" } },
  },
  {
    method: `${PRODUCT}CommitStock`,
    request: ({ id }) => ({ orderId: `${id}-o` }),
    expects: { reservation: { state: "RESERVATION_STATE_COMMITTED" } },
  },
  {
    method: `${PRODUCT}ReserveStock`,
    request: ({ id }) => ({ orderId: `${id}-r`, lines: line(`${id}-p`) }),
    expects: { reservation: {} },
  },
  {
    method: `${PRODUCT}ReleaseStock`,
    request: ({ id }) => ({ orderId: `${id}-r` }),
    expects: { reservation: { state: "RESERVATION_STATE_RELEASED" } },
  },
  {
    method: `${PRODUCT}WatchStock`,
    request: ({ id }) => ({ productIds: [`${id}-p`] }),
    expects: { availableStock: 8 },
  },
  {
    method: `${PRODUCT}ImportProducts`,
    request: ({ id }) => ({
      product: { productId: `${id}-i`, name: "Imported", price: EUROS, availableStock: 1 },
    }),
    expects: { createdCount: 1 },
  },
  {
    method: `${CUSTOMER}GetCustomer`,
    request: () => ({ customerId: "cust-ada" }),
    expects: { customer: { customerId: "cust-ada" } },
  },
  { method: `${CUSTOMER}ListCustomerIds`, request: () => ({ pageSize: 1 }), expects: { customers: [{}] } },
  {
    method: `${CUSTOMER}CreateCustomer`,
    request: ({ id }) => ({ email: `${id}@example.com`, displayName: "Traveller", password: "long-enough" }),
    expects: { customer: { displayName: "Traveller" } },
  },
  {
    method: `${CUSTOMER}SignIn`,
    request: () => ({ email: "ada@example.com", password: "ada-demo" }),
    expects: {},
  },
  {
    method: `${ORDER}PlaceOrder`,
    request: ({ id }) => ({
      customerId: "cust-ada",
      lines: line(ESPRESSO),
      paymentToken: "tok_ok",
      requestId: `${id}-place`,
      wait: "30s",
    }),
    expects: { order: { state: "ORDER_STATE_CONFIRMED", customerId: "cust-ada" } },
  },
  {
    method: `${ORDER}GetOrder`,
    request: (journey) => ({ orderId: orderId(journey) }),
    expects: { order: { state: "ORDER_STATE_CONFIRMED" } },
  },
  {
    method: `${ORDER}ListOrders`,
    request: () => ({ customerId: "cust-ada", pageSize: 1 }),
    expects: { orders: [{}] },
  },
  { method: `${ORDER}ListPurchases`, request: () => ({ pageSize: 1 }), expects: { purchases: [{}] } },
  {
    method: `${ORDER}WatchOrder`,
    request: (journey) => ({ orderId: orderId(journey) }),
    expects: { order: { state: "ORDER_STATE_CONFIRMED" } },
  },
  {
    method: `${ORDER}CancelOrder`,
    request: (journey) => ({ orderId: orderId(journey) }),
    expects: { refusal: "ORDER_NOT_CANCELLABLE" },
  },
  {
    method: `${PAYMENT}AuthorizePayment`,
    request: ({ id }) => ({
      orderId: `${id}-o`,
      customerId: "cust-ada",
      amount: EUROS,
      paymentToken: "tok_ok",
    }),
    expects: { payment: { state: "PAYMENT_STATE_AUTHORIZED" } },
  },
  {
    method: `${PAYMENT}CapturePayment`,
    request: ({ id }) => ({ orderId: `${id}-o` }),
    expects: { payment: { state: "PAYMENT_STATE_CAPTURED" } },
  },
  {
    method: `${PAYMENT}RefundPayment`,
    request: ({ id }) => ({
      orderId: `${id}-o`,
      amount: { currencyCode: "EUR", units: "1" },
      requestId: `${id}-refund`,
    }),
    expects: { payment: {} },
  },
  {
    method: `${PAYMENT}GetPayment`,
    request: ({ id }) => ({ orderId: `${id}-o` }),
    expects: { payment: { customerId: "cust-ada" } },
  },
  { method: `${PAYMENT}VoidPayment`, request: ({ id }) => ({ orderId: `${id}-v` }), expects: {} },
  {
    method: `${REVIEW}CreateReview`,
    request: ({ id }) => ({
      productId: ESPRESSO,
      customerId: "cust-ada",
      rating: 5,
      title: "Again",
      requestId: `${id}-review`,
    }),
    expects: { review: { title: "Again" } },
    isPatient: true,
  },
  {
    method: `${REVIEW}GetReview`,
    request: ({ answers }) => ({
      reviewId: (answers.get("CreateReview")?.review as JsonObject)?.reviewId as string,
    }),
    expects: { review: { rating: 5 } },
  },
  {
    method: `${REVIEW}ListReviews`,
    request: () => ({ productId: ESPRESSO, pageSize: 1 }),
    expects: { reviews: [{}] },
  },
  { method: `${REVIEW}ListRatings`, request: () => ({ pageSize: 1 }), expects: { ratings: [{}] } },
  {
    method: `${REVIEW}GetReviewedProduct`,
    request: () => ({ productId: ESPRESSO }),
    expects: { product: { productId: ESPRESSO } },
  },
  {
    method: `${REVIEW}DeleteReview`,
    request: (journey) => ({ reviewId: reviewId(journey) }),
    expects: {},
  },
  {
    method: `${REVIEW_V2}CreateReview`,
    request: ({ id }) => ({
      productId: ESPRESSO,
      customerId: "cust-ada",
      halfStars: 7,
      requestId: `${id}-review-v2`,
    }),
    expects: { review: { halfStars: 7 } },
    isPatient: true,
  },
  {
    method: `${REVIEW_V2}GetReview`,
    request: (journey) => ({ reviewId: reviewId(journey) }),
    expects: { review: { halfStars: 7 } },
  },
  {
    method: `${REVIEW_V2}ListReviews`,
    request: () => ({ productId: ESPRESSO, pageSize: 1 }),
    expects: { reviews: [{}] },
  },
  { method: `${REVIEW_V2}ListRatings`, request: () => ({ pageSize: 1 }), expects: { ratings: [{}] } },
  {
    method: `${REVIEW_V2}DeleteReview`,
    request: (journey) => ({ reviewId: reviewId(journey) }),
    expects: {},
  },
  {
    method: `${STOREFRONT}GetProductPage`,
    request: () => ({ productId: ESPRESSO }),
    expects: { product: { productId: ESPRESSO } },
  },
  {
    method: `${STOREFRONT}GetOrderPage`,
    request: (journey) => ({ orderId: orderId(journey) }),
    expects: { order: { state: "ORDER_STATE_CONFIRMED" }, products: [{ productId: ESPRESSO }] },
  },
  { method: `${PRODUCT}ListPrices`, request: () => ({ pageSize: 1 }), expects: { prices: [{}] } },
  { method: `${CUSTOMER}ListCustomerIds`, request: () => ({ pageSize: 1 }), expects: { customers: [{}] } },
  { method: `${ORDER}ListPurchases`, request: () => ({ pageSize: 1 }), expects: { purchases: [{}] } },
  { method: `${CUSTOMER}RotateSigningKeys`, request: () => ({ signAfter: "3600s" }), expects: {} },
  {
    method: `${NOTIFICATION}SendNotification`,
    request: ({ id }) => ({ customerId: "cust-ada", template: "TEMPLATE_WELCOME", requestId: `${id}-mail` }),
    expects: { notification: { customerId: "cust-ada" } },
    isPatient: true,
  },
  {
    method: `${NOTIFICATION}ListNotifications`,
    request: () => ({ customerId: "cust-ada", pageSize: 1 }),
    expects: { notifications: [{}] },
  },
  {
    method: `${AUDIT}ListEvents`,
    request: () => ({ pageSize: 1 }),
    expects: { events: [{}] },
    isPatient: true,
  },
  {
    method: `${AUDIT}GetEvent`,
    request: ({ answers }) => ({
      eventId: ((answers.get("ListEvents")?.events as JsonObject[])?.[0]?.eventId as string) ?? "",
    }),
    expects: { event: {} },
  },
];

/** What a contract from some release can call of a shop: the calls whose RPC both have, and the RPCs without one. */
export function callsOf(services: readonly DescService[]) {
  const methods = new Map<string, DescMethod>(
    services.flatMap(({ typeName, methods }) =>
      methods.map((method) => [`${typeName}/${method.name}`, method] as const),
    ),
  );
  const calls = CALLS.flatMap((call) => {
    const method = methods.get(call.method);
    return method ? [{ ...call, desc: method }] : [];
  });
  const without = [...methods.keys()].filter((name) => !calls.some((call) => call.method === name));
  return { calls, without };
}

/** Which service of the shop serves an RPC. */
export function servedBy({ parent }: DescMethod): string {
  const [, service = ""] = parent.file.proto.package.split(".");
  return service === "storefront" ? "gateway" : service;
}

/** What a call was answered, as JSON; a refusal as its reason. Throws what is neither: it was not understood. */
export async function makeCall(
  { desc, request, isPatient }: ReturnType<typeof callsOf>["calls"][number],
  journey: Journey,
  transport: Transport,
  registry: Registry,
): Promise<JsonValue> {
  const message = fromJson(desc.input, request(journey), { registry });
  const client = createClient(desc.parent, transport) as Record<
    string,
    (input: unknown, options: object) => unknown
  >;
  for (const endMs = performance.now() + 20_000; ; ) {
    try {
      const answer = toJson(desc.output, await ask(client, desc, message), { registry }) as JsonObject;
      journey.answers.set(desc.name, answer);
      return answer;
    } catch (error) {
      const reason = reasonOf(ConnectError.from(error))?.reason;
      if (reason === undefined) throw error;
      if (!isPatient || performance.now() > endMs) return { refusal: reason };
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function ask(
  client: Record<string, (input: unknown, options: object) => unknown>,
  { localName, methodKind }: DescMethod,
  message: unknown,
): Promise<never> {
  const call = client[localName] as (input: unknown, options: object) => unknown;
  const options = { timeoutMs: 40_000 };
  if (methodKind === "unary") return (await call(message, options)) as never;
  if (methodKind === "client_streaming") return (await call(only(message), options)) as never;
  // The first message says enough, and a watch does not end.
  for await (const answer of call(message, options) as AsyncIterable<never>) return answer;
  throw new ConnectError("the stream ended without a message", Code.DataLoss);
}

async function* only<T>(message: T) {
  yield message;
}
