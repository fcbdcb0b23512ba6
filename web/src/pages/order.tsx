import { timestampDate } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { useQuery, useTransport } from "@connectrpc/connect-query";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { type Order, OrderState } from "../../../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { type Payment, PaymentState } from "../../../gen/shop/payment/v1/payment_pb.ts";
import type { Product } from "../../../gen/shop/product/v1/product_pb.ts";
import { StorefrontService } from "../../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { isFinal } from "../calls/follow-order.ts";
import { useFollowedOrder } from "../calls/use-followed-order.ts";
import { formatMoney } from "../money.ts";
import { DegradedNotice } from "../parts/degraded-notice.tsx";
import { Loading, ProblemNotice } from "../parts/notice.tsx";
import { OrderStateMark, stateInWords } from "../parts/order-state.tsx";
import { Page } from "../parts/page.tsx";

const PARTS = { products: "Product names", payment: "Payment" };

/** An order with its products and its payment, followed until its state is final. */
export function OrderPage({ orderId }: { readonly orderId: string }) {
  const page = useQuery(StorefrontService.method.getOrderPage, { orderId });
  const retry = () => void page.refetch();
  const shown = page.data?.order;
  const followed = useFollowedOrder(orderId, shown !== undefined && !isFinal(shown));
  const order = newer(shown, followed.order);

  // What was charged is known once the order's state is final, and the page that is shown is from before.
  const { refetch } = page;
  const isBehind = shown !== undefined && order !== undefined && !isFinal(shown) && isFinal(order);
  useEffect(() => {
    if (isBehind) void refetch();
  }, [isBehind, refetch]);

  if (page.isPending) return <Loading what="the order" />;
  if (!order) {
    return (
      <Page title="This order cannot be shown">
        <ProblemNotice error={page.error} onRetry={retry} />
        <p>
          <Link href="/orders">See your orders</Link>
        </p>
      </Page>
    );
  }
  const { products = [], payment, degraded = [] } = page.data ?? {};
  return (
    <Page title="Your order" heading="Your order">
      <div className="order-state">
        <p role="status" aria-live="polite">
          <OrderStateMark state={order.state} /> {stateInWords(order)}
        </p>
        {followed.isLost && !isFinal(order) && (
          <p role="status" className="hint">
            The connection was lost. Trying to reach the shop again; your order goes on meanwhile.
          </p>
        )}
      </div>
      <ProblemNotice error={followed.error} />
      {!isBehind && <ProblemNotice error={page.error} onRetry={retry} />}
      <DegradedNotice degraded={degraded} names={PARTS} onRetry={retry} />
      <Lines order={order} products={products} />
      <PaymentNote order={order} payment={payment} />
      {!isFinal(order) && <CancelButton orderId={orderId} />}
      <p className="hint">
        Order {order.orderId}
        {order.createTime &&
          `, placed on ${timestampDate(order.createTime).toLocaleString("en", { dateStyle: "long", timeStyle: "short" })}`}
      </p>
    </Page>
  );
}

/** The one that tells more: a final state is never left. */
function newer(shown: Order | undefined, followed: Order | undefined): Order | undefined {
  return shown && (isFinal(shown) || !followed) ? shown : followed;
}

function Lines({ order, products }: { readonly order: Order; readonly products: readonly Product[] }) {
  return (
    <table className="order-lines">
      <caption className="unseen">What you ordered</caption>
      <thead>
        <tr>
          <th scope="col">Product</th>
          <th scope="col">Pieces</th>
          <th scope="col">Each</th>
        </tr>
      </thead>
      <tbody>
        {order.lines.map(({ productId, quantity, unitPrice }) => (
          <tr key={productId}>
            <td>
              <Link href={`/products/${productId}`}>
                {products.find((each) => each.productId === productId)?.name ?? productId}
              </Link>
            </td>
            <td>{quantity}</td>
            <td>{unitPrice && formatMoney(unitPrice)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={2}>
            Total
          </th>
          <td>{order.total && formatMoney(order.total)}</td>
        </tr>
      </tfoot>
    </table>
  );
}

const PAYMENTS: Readonly<Record<number, string>> = {
  [PaymentState.AUTHORIZED]: "is reserved on your card",
  [PaymentState.DECLINED]: "was declined",
  [PaymentState.CAPTURED]: "was charged",
  [PaymentState.VOIDED]: "was let go; nothing was charged",
  [PaymentState.REFUNDED]: "was paid back",
};

function PaymentNote({ order, payment }: { readonly order: Order; readonly payment: Payment | undefined }) {
  const amount = payment?.amount;
  const { refunded, state } = order;
  return (
    <>
      {amount && payment && PAYMENTS[payment.state] && (
        <p>
          {formatMoney(amount)} {PAYMENTS[payment.state]}.
        </p>
      )}
      {refunded && state === OrderState.CONFIRMED && <p>{formatMoney(refunded)} were paid back since.</p>}
    </>
  );
}

function CancelButton({ orderId }: { readonly orderId: string }) {
  const transport = useTransport();
  const [isAsked, setAsked] = useState(false);
  const cancelling = useMutation({
    mutationFn: () => createClient(OrderService, transport).cancelOrder({ orderId }),
    onSuccess: () => setAsked(true),
  });
  return (
    <div className="cancel">
      <ProblemNotice error={cancelling.error} />
      <div role="status">{isAsked && <p>It is being called off.</p>}</div>
      {!isAsked && (
        <button
          type="button"
          className="quiet"
          disabled={cancelling.isPending}
          onClick={() => cancelling.mutate()}
        >
          Cancel the order
        </button>
      )}
    </div>
  );
}
