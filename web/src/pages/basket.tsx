import { createClient } from "@connectrpc/connect";
import { useQuery, useTransport } from "@connectrpc/connect-query";
import { useMutation } from "@tanstack/react-query";
import { type SubmitEvent, useRef, useState } from "react";
import { v7 as uuid } from "uuid";
import { Link, useLocation } from "wouter";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import type { Product } from "../../../gen/shop/product/v1/product_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { type BasketLine, removeFromBasket, setQuantity } from "../basket.ts";
import { problemOf } from "../calls/problem.ts";
import { centsOf, formatCents, formatMoney } from "../money.ts";
import type { OrderAttempt } from "../order-attempt.ts";
import { Field, useFocusOnRefusal } from "../parts/field.tsx";
import { Notice, ProblemNotice } from "../parts/notice.tsx";
import { Page } from "../parts/page.tsx";
import { Weave } from "../parts/weave.tsx";
import { customerIdOf, useShop } from "../shop.ts";
import { useStore } from "../store.ts";

/** The cards of the simulated payment provider, by the tokens that it knows them by. */
const CARDS = [
  { token: "tok_ok", name: "A card that works" },
  { token: "tok_slow", name: "A card whose bank takes its time" },
  { token: "tok_flaky", name: "A card that works at the third try" },
  { token: "tok_declined", name: "A card that is declined" },
];

/** What is to be ordered, and the way to order it. */
export function BasketPage() {
  const { basket, attempt } = useShop();
  const lines = useStore(basket);
  const sent = useStore(attempt);
  return (
    <Page title="Basket">
      {lines.length === 0 && !sent ? (
        <p>
          There is nothing in it yet. <Link href="/">See what is for sale</Link>
        </p>
      ) : (
        <OrderForm lines={lines} sent={sent} />
      )}
    </Page>
  );
}

interface OrderFormProps {
  readonly lines: readonly BasketLine[];
  /** An order that was sent, and of which nobody knows whether it was placed. */
  readonly sent: OrderAttempt | undefined;
}

function OrderForm({ lines, sent }: OrderFormProps) {
  const shop = useShop();
  const { basket, attempt } = shop;
  const transport = useTransport();
  const [, navigate] = useLocation();
  const form = useRef<HTMLFormElement>(null);
  const [card, setCard] = useState(sent?.paymentToken ?? "tok_ok");
  const prices = useQuery(
    ProductService.method.batchGetProducts,
    { productIds: lines.map(({ productId }) => productId) },
    { enabled: lines.length > 0 },
  );

  const placing = useMutation({
    async mutationFn() {
      const customerId = await customerIdOf(shop);
      // What was sent before goes as it was, whatever became of it: so it is the same order.
      const order = attempt.get() ?? {
        requestId: uuid(),
        customerId,
        lines: lines.map(({ productId, quantity }) => ({ productId, quantity })),
        paymentToken: card,
      };
      attempt.set(order);
      return createClient(OrderService, transport).placeOrder({ ...order, lines: [...order.lines] });
    },
    onSuccess({ order }) {
      attempt.set(undefined);
      basket.set([]);
      if (order) navigate(`/orders/${order.orderId}`);
    },
    onError(error) {
      if (!problemOf(error).isUnknown) attempt.set(undefined);
    },
  });
  useFocusOnRefusal(form, placing.error);
  const problem = placing.error ? problemOf(placing.error) : undefined;
  // So it is after a reload, too, when the error is forgotten.
  const isUnknown = sent !== undefined && !placing.isPending;

  function submit(event: SubmitEvent) {
    event.preventDefault();
    placing.mutate();
  }

  function giveUp() {
    attempt.set(undefined);
    placing.reset();
  }

  return (
    <form ref={form} className="order-form" noValidate onSubmit={submit}>
      {isUnknown && (
        <Notice tone="error">
          <p>
            {problem?.text} The answer to your order did not come, so it may have been placed, or not. Trying
            again is safe: it is the same order, and you pay once.
          </p>
        </Notice>
      )}
      {problem && !isUnknown && (
        <Notice tone="error">
          <p>{problem.text}</p>
        </Notice>
      )}
      <fieldset className="plain" disabled={isUnknown || placing.isPending}>
        <ProblemNotice error={prices.error} onRetry={() => void prices.refetch()} />
        <ul className="lines">
          {lines.map((line, at) => (
            <BasketItem
              key={line.productId}
              line={line}
              product={prices.data?.products.find(({ productId }) => productId === line.productId)}
              problem={problem?.fields.get(`lines[${at}].quantity`)}
            />
          ))}
        </ul>
        <Total lines={lines} products={prices.data?.products} />
        <Field
          label="Pay with"
          hint="No money moves: these are the cards of a simulated bank."
          problem={problem?.fields.get("payment_token")}
        >
          {(control) => (
            <select {...control} value={card} onChange={(event) => setCard(event.target.value)}>
              {CARDS.map(({ token, name }) => (
                <option key={token} value={token}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
      </fieldset>
      <div className="actions">
        <button type="submit" disabled={placing.isPending}>
          {placing.isPending ? "Placing the order…" : isUnknown ? "Try again" : "Place the order"}
        </button>
        {isUnknown && (
          <button type="button" className="quiet" onClick={giveUp}>
            Change the order
          </button>
        )}
      </div>
      {isUnknown && (
        <p className="hint">
          Before you change it, see whether it is among <Link href="/orders">your orders</Link>.
        </p>
      )}
    </form>
  );
}

interface BasketItemProps {
  readonly line: BasketLine;
  /** Undefined while the product cannot be asked for. */
  readonly product: Product | undefined;
  readonly problem: string | undefined;
}

function BasketItem({ line: { productId, name, quantity }, product, problem }: BasketItemProps) {
  const { basket } = useShop();
  const isShort = product !== undefined && product.availableStock < quantity;
  return (
    <li className="line">
      <Weave productId={productId} name={name} />
      <div className="line-name">
        <Link href={`/products/${productId}`}>{product?.name ?? name}</Link>
        <span className="hint">{product?.price && `${formatMoney(product.price)} each`}</span>
        {isShort && <span className="stock few">Only {product.availableStock} left just now</span>}
      </div>
      <Field label={<span className="unseen">Pieces of {name}</span>} problem={problem}>
        {(control) => (
          <input
            {...control}
            type="number"
            inputMode="numeric"
            min={1}
            max={1000}
            value={quantity}
            onChange={(event) => setQuantity(basket, productId, Math.trunc(Number(event.target.value)))}
          />
        )}
      </Field>
      <button
        type="button"
        className="link"
        aria-label={`Remove ${name}`}
        onClick={() => removeFromBasket(basket, productId)}
      >
        Remove
      </button>
    </li>
  );
}

interface TotalProps {
  readonly lines: readonly BasketLine[];
  readonly products: readonly Product[] | undefined;
}

function Total({ lines, products }: TotalProps) {
  if (!products) return <p className="total">Total: not known just now</p>;
  const centsByProduct = new Map(
    products.map(({ productId, price }) => [productId, price ? centsOf(price) : 0]),
  );
  const cents = lines.reduce(
    (sum, { productId, quantity }) => sum + quantity * (centsByProduct.get(productId) ?? 0),
    0,
  );
  return (
    <p className="total">
      Total: <strong>{formatCents(cents, "EUR")}</strong>
    </p>
  );
}
