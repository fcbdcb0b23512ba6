import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { Link } from "wouter";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { formatMoney } from "../money.ts";
import { Loading, ProblemNotice } from "../parts/notice.tsx";
import { OrderStateMark } from "../parts/order-state.tsx";
import { Page } from "../parts/page.tsx";
import { useShop } from "../shop.ts";
import { useStore } from "../store.ts";

/** The customer's orders, newest first. */
export function OrdersPage() {
  const { session, signIn } = useShop();
  const customerId = useStore(session)?.customerId;
  return (
    <Page title="Your orders">
      {customerId ? (
        <Orders customerId={customerId} />
      ) : (
        <>
          <p>Sign in to see what you have ordered.</p>
          <button type="button" onClick={() => void signIn.ask()}>
            Sign in
          </button>
        </>
      )}
    </Page>
  );
}

function Orders({ customerId }: { readonly customerId: string }) {
  const orders = useInfiniteQuery(
    OrderService.method.listOrders,
    { customerId, pageSize: 20, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined },
  );
  const found = orders.data?.pages.flatMap((page) => page.orders);
  return (
    <>
      <ProblemNotice error={orders.error} onRetry={() => void orders.refetch()} />
      {orders.isPending && <Loading what="your orders" />}
      {found?.length === 0 && (
        <p>
          You have not ordered anything yet. <Link href="/">See what is for sale</Link>
        </p>
      )}
      <ul className="orders">
        {found?.map(({ orderId, createTime, total, state, lines }) => (
          <li key={orderId}>
            <Link href={`/orders/${orderId}`}>
              {createTime &&
                timestampDate(createTime).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}
            </Link>
            <span className="hint">
              {lines.length} {lines.length === 1 ? "product" : "products"}
            </span>
            <span>{total && formatMoney(total)}</span>
            <OrderStateMark state={state} />
          </li>
        ))}
      </ul>
      {orders.hasNextPage && (
        <button
          type="button"
          className="quiet"
          disabled={orders.isFetchingNextPage}
          onClick={() => void orders.fetchNextPage()}
        >
          Older orders
        </button>
      )}
    </>
  );
}
