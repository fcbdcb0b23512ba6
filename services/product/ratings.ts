import type { Transport } from "@connectrpc/connect";
import { ReviewService } from "../../gen/shop/review/v2/review_service_pb.ts";
import type { OwnedReadModel } from "../../mesh/app/serve.ts";
import type { KeySnapshot } from "../../mesh/events/read-model.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { pages } from "../../mesh/rpc/client/pages.ts";
import { ratingHandlers } from "./events.ts";
import { addRating, dropRatings } from "./store.ts";

/** What the reviews of each product come to: a read model of the review service's events. */
export const ratings: OwnedReadModel = {
  owner: "review",
  handlers: ratingHandlers,
  snapshot: ratingsOfOwner,
  drop: dropRatings,
};

/** All ratings as the review service knows them. */
async function* ratingsOfOwner(way: Transport, signal: AbortSignal): AsyncGenerator<KeySnapshot> {
  const reviews = meshClient(ReviewService, way);
  const listed = pages((pageToken) => reviews.listRatings({ pageToken, pageSize: 100 }, { signal }));
  for await (const { ratings } of listed) {
    for (const { productId, halfStarsSum, count, version } of ratings) {
      yield {
        key: productId,
        version,
        write: (tx, build) => addRating(tx, build, { productId, sum: Number(halfStarsSum) / 2, count }),
      };
    }
  }
}
