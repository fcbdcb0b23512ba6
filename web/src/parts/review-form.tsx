import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, createProtobufSafeUpdater, useTransport } from "@connectrpc/connect-query";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useRef, useState } from "react";
import { v7 as uuid } from "uuid";
import { type GetProductResponse, ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import type { Review } from "../../../gen/shop/review/v2/review_pb.ts";
import { ReviewService } from "../../../gen/shop/review/v2/review_service_pb.ts";
import { StorefrontService } from "../../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { problemOf } from "../calls/problem.ts";
import { customerIdOf, useShop } from "../shop.ts";
import { Field, useFocusOnRefusal } from "./field.tsx";
import { Notice } from "./notice.tsx";
import { StarInput } from "./star-input.tsx";

const NOT_YET: Partial<GetProductResponse> = {};
const AT_FIRST = { halfStars: 8, title: "", body: "" };

/** Takes a review. What was written stays until it is posted, whatever comes between. */
export function ReviewForm({ productId, onPosted }: ReviewFormProps) {
  const shop = useShop();
  const transport = useTransport();
  const queries = useQueryClient();
  const form = useRef<HTMLFormElement>(null);
  const [written, setWritten] = useState(AT_FIRST);
  // As long as nothing is changed it is the same review, however often it is sent.
  const [requestId, setRequestId] = useState(() => uuid());

  const posting = useMutation({
    async mutationFn() {
      const customerId = await customerIdOf(shop);
      return createClient(ReviewService, transport).createReview({
        productId,
        customerId,
        ...written,
        requestId,
      });
    },
    onSuccess({ review, ratingVersion }) {
      write(AT_FIRST);
      if (review) onPosted(review);
      void showRating(ratingVersion);
    },
  });
  useFocusOnRefusal(form, posting.error);
  const problem = posting.error ? problemOf(posting.error) : undefined;

  function write(next: typeof AT_FIRST) {
    setWritten(next);
    setRequestId(uuid());
  }

  /** Shows the product with a rating that has the review in it, if the news is there soon. */
  async function showRating(minRatingVersion: number) {
    const products = createClient(ProductService, transport);
    const { product } = await products.getProduct({ productId, minRatingVersion }).catch(() => NOT_YET);
    if (!product) return;
    const schema = StorefrontService.method.getProductPage;
    const queryKey = createConnectQueryKey({
      schema,
      transport,
      input: { productId },
      cardinality: "finite",
    });
    queries.setQueryData(
      queryKey,
      createProtobufSafeUpdater(schema, (page) => page && { ...page, product }),
    );
  }

  function submit(event: SubmitEvent) {
    event.preventDefault();
    posting.mutate();
  }

  return (
    <form ref={form} className="review-form" noValidate onSubmit={submit}>
      <h3>Write a review</h3>
      {problem && problem.fields.size === 0 && (
        <Notice tone="error">
          <p>{problem.text}</p>
          {problem.isUnknown && <p>Posting it again is safe: it is the same review.</p>}
        </Notice>
      )}
      <Field label="Your rating" problem={problem?.fields.get("half_stars")}>
        {(control) => (
          <StarInput
            control={control}
            halfStars={written.halfStars}
            onChange={(halfStars) => write({ ...written, halfStars })}
          />
        )}
      </Field>
      <Field label="In one line" problem={problem?.fields.get("title")}>
        {(control) => (
          <input
            {...control}
            value={written.title}
            onChange={(event) => write({ ...written, title: event.target.value })}
          />
        )}
      </Field>
      <Field label="What you have to say" problem={problem?.fields.get("body")}>
        {(control) => (
          <textarea
            {...control}
            rows={4}
            value={written.body}
            onChange={(event) => write({ ...written, body: event.target.value })}
          />
        )}
      </Field>
      <div className="actions">
        <button type="submit" disabled={posting.isPending}>
          {posting.isPending ? "Posting…" : "Post the review"}
        </button>
      </div>
    </form>
  );
}

interface ReviewFormProps {
  readonly productId: string;
  readonly onPosted: (review: Review) => void;
}
