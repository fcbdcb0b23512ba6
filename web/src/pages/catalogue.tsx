import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useId } from "react";
import { Link, useSearchParams } from "wouter";
import type { Product } from "../../../gen/shop/product/v1/product_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { formatMoney } from "../money.ts";
import { Loading, ProblemNotice } from "../parts/notice.tsx";
import { Page } from "../parts/page.tsx";
import { Stars } from "../parts/stars.tsx";
import { StockNote } from "../parts/stock-note.tsx";
import { Weave } from "../parts/weave.tsx";

/** What is for sale. */
export function CataloguePage() {
  const [params, setParams] = useSearchParams();
  const query = params.get("q") ?? "";
  const products = useInfiniteQuery(
    ProductService.method.listProducts,
    { query, pageSize: 24, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: ({ nextPageToken }) => nextPageToken || undefined },
  );
  const found = products.data?.pages.flatMap((page) => page.products);
  const searchId = useId();

  return (
    <Page title={query ? `Search: ${query}` : "For sale"}>
      <search>
        <form
          key={query}
          className="search"
          onSubmit={(event) => {
            event.preventDefault();
            const q = String(new FormData(event.currentTarget).get("q")).trim();
            setParams(q ? { q } : {});
          }}
        >
          <label className="unseen" htmlFor={searchId}>
            Search the shop
          </label>
          <input
            id={searchId}
            name="q"
            placeholder="Search the shop"
            type="search"
            defaultValue={query}
            maxLength={200}
          />
          <button type="submit" className="quiet">
            Search
          </button>
        </form>
      </search>
      <ProblemNotice error={products.error} onRetry={() => void products.refetch()} />
      {products.isPending && <Loading what="what is for sale" />}
      {found && query && (
        <p role="status">
          {found.length || "No"} {found.length === 1 ? "product" : "products"} with “{query}”.{" "}
          <Link href="/">Show all</Link>
        </p>
      )}
      <ul className="cards">
        {found?.map((product) => (
          <ProductCard key={product.productId} product={product} />
        ))}
      </ul>
      {products.hasNextPage && (
        <button
          type="button"
          className="quiet"
          disabled={products.isFetchingNextPage}
          onClick={() => void products.fetchNextPage()}
        >
          Show more
        </button>
      )}
    </Page>
  );
}

function ProductCard({ product }: { readonly product: Product }) {
  const { productId, name, description, price, rating, availableStock } = product;
  return (
    <li className="card">
      <Weave productId={productId} name={name} />
      <div className="card-text">
        <h2>
          <Link href={`/products/${productId}`}>{name}</Link>
        </h2>
        <p className="description">{description}</p>
        <p className="card-foot">
          <strong>{price && formatMoney(price)}</strong>
          {rating && rating.count > 0 && <Stars halfStars={rating.average * 2} />}
        </p>
        <StockNote pieces={availableStock} />
      </div>
    </li>
  );
}
