import { useQuery } from "@connectrpc/connect-query";
import { type SubmitEvent, useState } from "react";
import { Link } from "wouter";
import type { Product } from "../../../gen/shop/product/v1/product_pb.ts";
import { DegradedReason } from "../../../gen/shop/storefront/v1/storefront_pb.ts";
import { StorefrontService } from "../../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { addToBasket } from "../basket.ts";
import { formatMoney } from "../money.ts";
import { DegradedNotice } from "../parts/degraded-notice.tsx";
import { Field } from "../parts/field.tsx";
import { Loading, ProblemNotice } from "../parts/notice.tsx";
import { Page } from "../parts/page.tsx";
import { Reviews } from "../parts/reviews.tsx";
import { Stars } from "../parts/stars.tsx";
import { StockNote } from "../parts/stock-note.tsx";
import { Weave } from "../parts/weave.tsx";
import { useShop } from "../shop.ts";

const PARTS = { product: "Price and stock", reviews: "Reviews" };

/** A product with its reviews, in one call. */
export function ProductPage({ productId }: { readonly productId: string }) {
  const page = useQuery(StorefrontService.method.getProductPage, { productId });
  const retry = () => void page.refetch();
  if (page.isPending) return <Loading what="the product" />;
  if (!page.data?.product) {
    return (
      <Page title="This product cannot be shown">
        <ProblemNotice error={page.error} onRetry={retry} />
        <p>
          <Link href="/">See what is for sale</Link>
        </p>
      </Page>
    );
  }
  const { product, reviews, nextReviewPageToken, degraded } = page.data;
  const areReviewsMissing = degraded.some(
    ({ part, reason }) => part === "reviews" && reason !== DegradedReason.STALE,
  );
  return (
    <Page title={product.name}>
      <ProblemNotice error={page.error} onRetry={retry} />
      <DegradedNotice degraded={degraded} names={PARTS} onRetry={retry} />
      <article className="product">
        <Weave productId={product.productId} name={product.name} />
        <div>
          <Facts product={product} />
          <ToBasket product={product} />
        </div>
      </article>
      <Reviews
        productId={productId}
        newest={reviews}
        nextPageToken={nextReviewPageToken}
        areMissing={areReviewsMissing}
      />
    </Page>
  );
}

function Facts({ product: { description, price, rating, availableStock } }: { readonly product: Product }) {
  return (
    <>
      <p className="price">{price && formatMoney(price)}</p>
      <p className="rating">
        {rating && rating.count > 0 ? (
          <>
            <Stars halfStars={rating.average * 2} />{" "}
            <span>
              {rating.average.toFixed(1)} from {rating.count} {rating.count === 1 ? "review" : "reviews"}
            </span>
          </>
        ) : (
          "Not reviewed yet"
        )}
      </p>
      <p>{description}</p>
      <StockNote pieces={availableStock} />
    </>
  );
}

function ToBasket({ product: { productId, name, availableStock } }: { readonly product: Product }) {
  const { basket } = useShop();
  const [quantity, setQuantity] = useState(1);
  const [added, setAdded] = useState(0);

  function add(event: SubmitEvent) {
    event.preventDefault();
    const wanted = Number.isSafeInteger(quantity) && quantity > 0 ? quantity : 1;
    addToBasket(basket, { productId, name, quantity: wanted });
    setQuantity(wanted);
    setAdded((before) => before + wanted);
  }

  return (
    <form className="to-basket" onSubmit={add} noValidate>
      <Field label="Pieces">
        {(control) => (
          <input
            {...control}
            type="number"
            inputMode="numeric"
            min={1}
            max={1000}
            value={Number.isNaN(quantity) ? "" : quantity}
            onChange={(event) => setQuantity(event.target.valueAsNumber)}
          />
        )}
      </Field>
      <button type="submit" className="add" disabled={availableStock === 0}>
        Add to the basket
      </button>
      <div className="added" role="status">
        {added > 0 && (
          <>
            Added {added === 1 ? "one piece" : `${added} pieces`}.{" "}
            <Link href="/basket">Go to the basket</Link>
          </>
        )}
      </div>
    </form>
  );
}
