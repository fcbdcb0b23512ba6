import { ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ReviewService } from "../../../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService as ReviewServiceV2 } from "../../../gen/shop/review/v2/review_service_pb.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";

const old = await testServer(ReviewService, { getReview: () => ({}) });
const fresh = await testServer(ReviewServiceV2, { getReview: () => ({}) });

const said = (headers: Headers | undefined) =>
  ["deprecation", "sunset", "link"].map((name) => headers?.get(name));
// 2026-12-01 and 2027-12-01, midnight in UTC.
const SAID = [
  "@1796083200",
  "Wed, 01 Dec 2027 00:00:00 GMT",
  '<https://shop.example/docs/reviews-v2>; rel="deprecation"',
];

describe.each(WIRE_PROTOCOLS)("$name", ({ open }) => {
  test("what is to go says so with its answer", async () => {
    let headers: Headers | undefined;
    const onHeader = (given: Headers) => {
      headers = given;
    };
    await createClient(ReviewService, open(old)).getReview({ reviewId: "r1" }, { onHeader });
    expect(said(headers)).toEqual(SAID);
  });

  test("and with a refusal", async () => {
    const error = await createClient(ReviewService, open(old))
      .getReview({ reviewId: "no good" })
      .catch(ConnectError.from);
    expect(said((error as ConnectError).metadata)).toEqual(SAID);
  });

  test("what stays says nothing", async () => {
    let headers: Headers | undefined;
    const onHeader = (given: Headers) => {
      headers = given;
    };
    await createClient(ReviewServiceV2, open(fresh)).getReview({ reviewId: "r1" }, { onHeader });
    expect(said(headers)).toEqual([null, null, null]);
  });
});
