import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Review } from "../../../gen/shop/review/v2/review_pb.ts";
import { listReviews } from "../calls/rest.ts";
import { useShop } from "../shop.ts";
import { useStore } from "../store.ts";
import { Notice, ProblemNotice } from "./notice.tsx";
import { ReviewForm } from "./review-form.tsx";
import { Stars } from "./stars.tsx";

/** What buyers say of a product: the newest came with its page, older ones are asked for; and a form for one's own. */
export function Reviews({ productId, newest, nextPageToken, areMissing }: ReviewsProps) {
  // Shown from the moment it is posted: the page's own list may be a moment older.
  const [posted, setPosted] = useState<readonly Review[]>([]);
  const older = useInfiniteQuery({
    queryKey: ["older reviews", productId, nextPageToken],
    queryFn: ({ pageParam }) => listReviews(productId, pageParam),
    initialPageParam: nextPageToken,
    getNextPageParam: ({ nextPageToken: next }) => next || undefined,
    enabled: false,
  });
  const listed = [...newest, ...(older.data?.pages ?? []).flatMap(({ reviews }) => reviews)];
  const reviews = [
    ...posted.filter((mine) => !listed.some(({ reviewId }) => reviewId === mine.reviewId)),
    ...listed,
  ];
  const hasMore = older.data ? older.hasNextPage : nextPageToken !== "";

  return (
    <section aria-labelledby="reviews-title">
      <h2 id="reviews-title">Reviews</h2>
      {reviews.length === 0 && !areMissing && <p>Nobody has reviewed this yet.</p>}
      {reviews.length === 0 && areMissing && <p>The reviews cannot be shown just now.</p>}
      <ul className="reviews">
        {reviews.map((review) => (
          <ReviewItem key={review.reviewId} review={review} />
        ))}
      </ul>
      <ProblemNotice error={older.error} onRetry={() => void older.fetchNextPage()} />
      {hasMore && (
        <button
          type="button"
          className="quiet"
          disabled={older.isFetching}
          onClick={() => void older.fetchNextPage()}
        >
          Older reviews
        </button>
      )}
      {posted.length > 0 && (
        <Notice tone="good">
          <p>Thank you, your review is here.</p>
        </Notice>
      )}
      <ReviewForm productId={productId} onPosted={(review) => setPosted([review, ...posted])} />
    </section>
  );
}

interface ReviewsProps {
  readonly productId: string;
  readonly newest: readonly Review[];
  /** Where the older ones begin. Empty if there are none. */
  readonly nextPageToken: string;
  /** True if nobody knows what reviews there are. */
  readonly areMissing: boolean;
}

function ReviewItem({
  review: { customerId, halfStars, title, body, createTime },
}: {
  readonly review: Review;
}) {
  const { session } = useShop();
  const isOwn = useStore(session)?.customerId === customerId;
  return (
    <li className="review">
      <p className="review-head">
        <Stars halfStars={halfStars} /> <strong>{title}</strong>
      </p>
      {body && <p className="review-body">{body}</p>}
      <p className="hint">
        {isOwn ? "You" : "A buyer"}
        {createTime && `, ${timestampDate(createTime).toLocaleDateString("en", { dateStyle: "medium" })}`}
      </p>
    </li>
  );
}
