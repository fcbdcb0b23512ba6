import { createRegistry, type Registry } from "@bufbuild/protobuf";
import { file_shop_customer_v1_customer_event } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { file_shop_notification_v1_notification_command } from "../../gen/shop/notification/v1/notification_command_pb.ts";
import { file_shop_notification_v1_notification_event } from "../../gen/shop/notification/v1/notification_event_pb.ts";
import { file_shop_order_v1_order_event } from "../../gen/shop/order/v1/order_event_pb.ts";
import { file_shop_payment_v1_payment_event } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { file_shop_product_v1_product_command } from "../../gen/shop/product/v1/product_command_pb.ts";
import { file_shop_product_v1_product_event } from "../../gen/shop/product/v1/product_event_pb.ts";
import { file_shop_review_v1_review_event } from "../../gen/shop/review/v1/review_event_pb.ts";

/** Every message that may come by. One that is not here is kept all the same, and shown as it came. */
export const contracts: Registry = createRegistry(
  file_shop_customer_v1_customer_event,
  file_shop_notification_v1_notification_command,
  file_shop_notification_v1_notification_event,
  file_shop_order_v1_order_event,
  file_shop_payment_v1_payment_event,
  file_shop_product_v1_product_command,
  file_shop_product_v1_product_event,
  file_shop_review_v1_review_event,
);
