import { clearExtension, clone, create, getExtension } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  durationFromMs,
  EnumValueDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileOptions,
  MethodOptions_IdempotencyLevel as Level,
} from "@bufbuild/protobuf/wkt";
import { message as wholeRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { Level as AccessLevel, method as access } from "../../gen/mesh/auth/v1/auth_pb.ts";
import { code } from "../../gen/mesh/error/v1/error_pb.ts";
import {
  contract,
  Ordering,
  SubscriptionSchema,
  stream,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";
import { deprecation } from "../../gen/mesh/policy/v1/deprecation_pb.ts";
import { CacheSchema, Criticality, method as policy } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { editOption, named, remove, setOption } from "../../mesh/testing/edited-contracts.ts";
import {
  addEvent,
  addField,
  addMethod,
  addReason,
  addService,
  all,
  changeAccess,
  changeEvent,
  changeIdempotency,
  changePolicy,
  changeRoute,
  changeRules,
  dropFromMethod,
  type Edit,
  LIST_OF_TEXT,
  route,
} from "./edits.ts";

const ORDERS = "shop.order.v1.OrderService";
const [GET, PLACE, CANCEL, WATCH] = ["GetOrder", "PlaceOrder", "CancelOrder", "WatchOrder"].map(
  (name) => `${ORDERS}/${name}`,
) as [string, string, string, string];
const SENT = "shop.notification.v1.NotificationSent";
const RETRIES = { timeout: "2s", retry: { maxAttempts: 3 } };

/** A change that breaks someone, and the rules that object to it: these and no others. */
export type Mutation = readonly [what: string, caught: readonly string[], edit: Edit];

/** What must not be released as it stands, whatever was before. */
export const badContracts: readonly Mutation[] = [
  ["an RPC without a policy", ["MESH_RPC_HAS_POLICY"], addMethod(ORDERS, "PrintOrder", Level.IDEMPOTENT)],
  ["a policy that is gone", ["MESH_RPC_HAS_POLICY"], dropFromMethod(GET, policy)],
  ["an RPC that does not say who may call it", ["MESH_RPC_HAS_ACCESS"], dropFromMethod(GET, access)],
  [
    "an owner that the request does not name",
    ["MESH_RPC_HAS_ACCESS"],
    changeAccess(GET, (its) => {
      its.owner = { case: "ownerField", value: "customer_id" };
    }),
  ],
  [
    "a sunset before its deprecation",
    ["MESH_POLICY_WORKS"],
    ({ service }) =>
      editOption(service("shop.review.v1.ReviewService"), deprecation, (its) => {
        its.since = "2027-12-02";
      }),
  ],
  [
    "a timeout that the server does not grant",
    ["MESH_POLICY_WORKS"],
    changePolicy(GET, (its) => {
      its.timeout = durationFromMs(61_000);
    }),
  ],
  [
    "answers kept of an RPC with side effects",
    ["MESH_POLICY_WORKS"],
    changePolicy(CANCEL, (its) => {
      its.cache = create(CacheSchema, { ttl: durationFromMs(1_000) });
    }),
  ],
  [
    "retries of an RPC that may not be repeated",
    ["MESH_RETRY_NEEDS_IDEMPOTENCY"],
    addMethod(ORDERS, "ShipOrder", Level.IDEMPOTENCY_UNKNOWN, RETRIES),
  ],
  [
    "an idempotency key of any length",
    ["MESH_REQUEST_ID_IS_KEY"],
    changeRules("shop.order.v1.PlaceOrderRequest.request_id", {}),
  ],
  [
    "a path with a variable that is no field",
    ["MESH_ROUTE_VALID"],
    changeRoute(GET, (its) => {
      its.pattern = { case: "get", value: "/v1/orders/{id}" };
    }),
  ],
  [
    "a path without its end",
    ["MESH_ROUTE_VALID"],
    changeRoute(GET, (its) => {
      its.pattern = { case: "get", value: "/v1/orders/{order_id" };
    }),
  ],
  [
    "two RPCs under one path",
    ["MESH_ROUTE_UNIQUE"],
    changeRoute(WATCH, (its) => {
      its.additionalBindings.push(route({ get: "/v1/orders/{order_id}" }));
    }),
  ],
  [
    "an event that expires",
    ["MESH_EVENTS_WORK"],
    changeEvent(SENT, (its) => {
      its.ttl = durationFromMs(60_000);
    }),
  ],
  [
    "a subscription to what its aggregate does not have",
    ["MESH_EVENTS_WORK"],
    ({ service }) =>
      editOption(service("shop.review.v1.ReviewService"), subscriptions, ([buyers]) => {
        buyers?.handles.push("shop.payment.v1.PaymentCaptured");
      }),
  ],
  [
    "a second publisher of an aggregate",
    ["MESH_EVENT_SUBJECT_UNIQUE"],
    ({ file, message }) => {
      const stolen = clone(DescriptorProtoSchema, message("shop.order.v1.OrderPlaced"));
      stolen.field = stolen.field.filter(({ name }) => name === "order_id");
      editOption(stolen, contract, (its) => {
        its.owner = "audit";
      });
      const audit = file("shop/audit/v1/audit.proto");
      audit.dependency.push("mesh/event/v1/event.proto");
      setOption(
        audit,
        stream,
        getExtension(file("shop/order/v1/order_event.proto").options as FileOptions, stream),
      );
      audit.messageType.push(stolen);
    },
  ],
  [
    "an ordered event without a key",
    ["MESH_EVENT_HAS_KEY"],
    addEvent("OrderPrinted", { kind: "KIND_EVENT", owner: "order", aggregate: "order" }),
  ],
  ["a reason without a code", ["MESH_REASON_HAS_CODE"], addReason("ORDER_ERROR_PRINTER_ON_FIRE", undefined)],
];

/** What must not follow what was promised. */
export const badChanges: readonly Mutation[] = [
  [
    "somebody's own for everybody",
    ["MESH_ACCESS_NOT_LOOSENED"],
    changeAccess(GET, (its) => {
      its.level = AccessLevel.PUBLIC;
      its.owner = { case: undefined };
    }),
  ],
  [
    "an operator's RPC for services",
    ["MESH_ACCESS_NOT_LOOSENED"],
    changeAccess("shop.payment.v1.PaymentService/RefundPayment", (its) => {
      its.services = true;
    }),
  ],
  [
    "an earlier sunset",
    ["MESH_SUNSET_NOT_EARLIER"],
    ({ service }) =>
      editOption(service("shop.review.v1.ReviewService"), deprecation, (its) => {
        its.sunset = "2027-11-30";
      }),
  ],
  [
    "a shorter timeout",
    ["MESH_TIMEOUT_NOT_SHORTENED"],
    changePolicy(GET, (its) => {
      its.timeout = durationFromMs(1_000);
    }),
  ],
  [
    "less time at most",
    ["MESH_TIMEOUT_NOT_SHORTENED"],
    changePolicy(GET, (its) => {
      its.maxTimeout = durationFromMs(10_000);
    }),
  ],
  [
    "a stream that may be silent for less long",
    ["MESH_TIMEOUT_NOT_SHORTENED"],
    changePolicy(WATCH, (its) => {
      its.idleTimeout = durationFromMs(60_000);
    }),
  ],
  [
    "a read that has side effects",
    ["MESH_IDEMPOTENCY_NOT_DROPPED"],
    changeIdempotency(GET, Level.IDEMPOTENT),
  ],
  [
    "an RPC that may not be repeated any more",
    ["MESH_IDEMPOTENCY_NOT_DROPPED"],
    all(
      changeIdempotency(CANCEL, Level.IDEMPOTENCY_UNKNOWN),
      changePolicy(CANCEL, (its) => {
        its.redundancy = { case: undefined };
      }),
    ),
  ],
  [
    "keys that are forgotten sooner",
    ["MESH_IDEMPOTENCY_NOT_DROPPED"],
    changePolicy(PLACE, (its) => {
      its.dedupeTtl = durationFromMs(3_600_000);
    }),
  ],
  [
    "an RPC that is refused sooner under overload",
    ["MESH_CRITICALITY_NOT_LOWERED"],
    changePolicy(PLACE, (its) => {
      its.criticality = Criticality.CRITICAL;
    }),
  ],
  [
    "a path that moved",
    ["MESH_ROUTE_STABLE"],
    changeRoute(GET, (its) => {
      its.pattern = { case: "get", value: "/v1/order/{order_id}" };
    }),
  ],
  [
    "another HTTP method",
    ["MESH_ROUTE_STABLE"],
    changeRoute(PLACE, (its) => {
      its.pattern = { case: "put", value: "/v1/orders" };
    }),
  ],
  [
    "another body",
    ["MESH_ROUTE_STABLE"],
    changeRoute("shop.product.v1.ProductService/CreateProduct", (its) => {
      its.body = "*";
    }),
  ],
  ["a route that is gone", ["MESH_ROUTE_STABLE"], dropFromMethod(GET, http)],
  [
    "events of another aggregate",
    ["MESH_EVENT_SUBJECT_STABLE"],
    ({ file }) => {
      const events = file("shop/notification/v1/notification_event.proto");
      editOption(events, stream, (its) => Object.assign(its, { name: "EVT_MAIL" }));
      for (const message of events.messageType)
        editOption(message, contract, (its) => {
          its.aggregate = "mail";
        });
    },
  ],
  [
    "an event that is none any more",
    ["MESH_EVENT_SUBJECT_STABLE"],
    ({ message }) => {
      const { options } = message(SENT);
      if (options) clearExtension(options, contract);
    },
  ],
  [
    "another key",
    ["MESH_EVENT_KEY_STABLE"],
    changeEvent(SENT, (its) => {
      its.key = "customer_id";
    }),
  ],
  [
    "a weaker ordering",
    ["MESH_EVENT_KEY_STABLE"],
    changeEvent(SENT, (its) => {
      its.ordering = Ordering.LATEST;
    }),
  ],
  [
    "a shorter text",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    changeRules("shop.review.v1.CreateReviewRequest.title", { string: { maxLen: 100 } }),
  ],
  [
    "a narrower pattern",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    changeRules("shop.order.v1.GetOrderRequest.order_id", { string: { pattern: "^[a-z0-9-]{1,64}$" } }),
  ],
  [
    "a smaller number",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    changeRules("shop.order.v1.ListOrdersRequest.page_size", { int32: { gte: 0, lte: 100 } }),
  ],
  [
    "a field that was optional",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    changeRules("shop.order.v1.CancelOrderRequest.reason", { string: { minLen: 1, maxLen: 500 } }),
  ],
  [
    "a new field that must be set",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    addField("shop.order.v1.PlaceOrderRequest", "channel", { string: { minLen: 1 } }),
  ],
  [
    "a new list that must have something in it",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    addField("shop.order.v1.PlaceOrderRequest", "channels", { repeated: { minItems: 1 } }, LIST_OF_TEXT),
  ],
  [
    "a new rule in CEL",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    ({ message }) =>
      editOption(message("shop.order.v1.PlaceOrderRequest"), wholeRules, (rules) => {
        rules.celExpression.push("this.lines.size() < 10");
      }),
  ],
  [
    "a rule of what a request holds",
    ["MESH_REQUEST_VALIDATION_NOT_TIGHTENED"],
    changeRules("shop.product.v1.Product.description", { string: { maxLen: 500 } }),
  ],
  [
    "an event that may hold more",
    ["MESH_EVENT_VALIDATION_NOT_LOOSENED"],
    changeRules("shop.order.v1.OrderLine.quantity", { int32: { gte: 1, lte: 5000 } }),
  ],
  [
    "a reason that is gone",
    ["MESH_ERROR_REASON_KEPT"],
    (editor) => remove(editor.enum("shop.order.v1.OrderError").value, "ORDER_ERROR_TIMEOUT"),
  ],
  [
    "a reason with another code",
    ["MESH_ERROR_REASON_KEPT"],
    (editor) =>
      setOption(
        named(editor.enum("shop.order.v1.OrderError").value, "ORDER_ERROR_TIMEOUT"),
        code,
        Code.ABORTED,
      ),
  ],
];

/** What anybody may do. */
export const goodChanges: readonly (readonly [what: string, edit: Edit])[] = [
  [
    "a new field that may be left out",
    addField("shop.order.v1.PlaceOrderRequest", "channel", { string: { maxLen: 20 } }),
  ],
  [
    "a new RPC with its policy and its route",
    addMethod(ORDERS, "PrintOrder", Level.NO_SIDE_EFFECTS, RETRIES, { get: "/v1/orders/{order_id}:print" }),
  ],
  ["a new service", addService("OrderArchiveService")],
  [
    "a new event with its key",
    addEvent("OrderPrinted", { kind: "KIND_EVENT", owner: "order", aggregate: "order", key: "order_id" }),
  ],
  [
    "a new enum value",
    (editor) =>
      void editor
        .enum("shop.order.v1.OrderState")
        .value.push(create(EnumValueDescriptorProtoSchema, { name: "ORDER_STATE_SHIPPED", number: 900 })),
  ],
  ["a new reason with its code", addReason("ORDER_ERROR_PRINTER_ON_FIRE", Code.UNAVAILABLE)],
  [
    "an RPC for fewer callers",
    changeAccess(GET, (its) => {
      its.level = AccessLevel.OPERATOR;
      its.owner = { case: undefined };
    }),
  ],
  [
    "a later sunset",
    ({ service }) =>
      editOption(service("shop.review.v1.ReviewService"), deprecation, (its) => {
        its.sunset = "2028-12-01";
      }),
  ],
  [
    "a longer timeout",
    changePolicy(GET, (its) => {
      its.timeout = durationFromMs(5_000);
    }),
  ],
  ["a longer text", changeRules("shop.review.v1.CreateReviewRequest.title", { string: { maxLen: 400 } })],
  [
    "a wider pattern",
    changeRules("shop.order.v1.GetOrderRequest.order_id", { string: { pattern: "^[A-Za-z0-9_:-]{1,80}$" } }),
  ],
  [
    "a second path",
    changeRoute(GET, (its) => {
      its.additionalBindings.push(route({ get: "/v1/archive/orders/{order_id}" }));
    }),
  ],
  [
    "fewer retries",
    changePolicy(CANCEL, (its) => {
      if (its.redundancy.case === "retry") its.redundancy.value.maxAttempts = 1;
    }),
  ],
  [
    "a field that is deprecated",
    ({ field }) => {
      const cancel = field("shop.order.v1.CancelOrderRequest.reason");
      cancel.options = Object.assign(cancel.options ?? create(FieldOptionsSchema), { deprecated: true });
    },
  ],
  [
    "keys that are remembered for longer",
    changePolicy("shop.payment.v1.PaymentService/RefundPayment", (its) => {
      its.dedupeTtl = durationFromMs(7 * 86_400_000);
    }),
  ],
  [
    "one more subscription",
    ({ service }) =>
      setOption(service("shop.payment.v1.PaymentService"), subscriptions, [
        create(SubscriptionSchema, {
          name: "orders",
          aggregate: "order",
          handles: ["shop.order.v1.OrderConfirmed"],
        }),
      ]),
  ],
];
