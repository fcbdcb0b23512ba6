import { clone, create, setExtension } from "@bufbuild/protobuf";
import { ServiceOptionsSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { DeprecationSchema, deprecation } from "../../gen/mesh/policy/v1/deprecation_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { ReviewService as ReviewServiceV2 } from "../../gen/shop/review/v2/review_service_pb.ts";
import { atEnd } from "../testing/at-end.ts";
import { deprecationOf, deprecationProblems } from "./deprecation.ts";

test("a method that is deprecated says since when, until when, and where to go", () => {
  expect(deprecationOf(ReviewService.method.listReviews)).toEqual({
    since: new Date("2026-12-01T00:00:00Z"),
    sunset: new Date("2027-12-01T00:00:00Z"),
    link: "https://shop.example/docs/reviews-v2",
  });
});

test("one that stays says nothing", () => {
  expect(deprecationOf(ReviewService.method.listRatings)).toBeDefined();
  expect(ReviewServiceV2.methods.map(deprecationOf)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

/** What is wrong if this service said so. */
function problems(service: typeof ReviewService | typeof OrderService, said: object): string[] {
  const { proto } = service;
  const before = proto.options;
  atEnd(async () => {
    proto.options = before;
  });
  proto.options = clone(ServiceOptionsSchema, before ?? create(ServiceOptionsSchema));
  setExtension(proto.options, deprecation, create(DeprecationSchema, said));
  return [...deprecationProblems(service)];
}

test.each([
  [{ since: "2026-12-01" }, []],
  [{ since: "2026-12-01", sunset: "2026-12-01", link: "https://shop.example/" }, []],
  [{ since: "" }, ['the deprecation\'s since is "", which is no day such as 2026-12-01']],
  [{ since: "2026-02-30" }, ['the deprecation\'s since is "2026-02-30", which is no day such as 2026-12-01']],
  [
    { since: "2026-12-01", sunset: "soon" },
    ['the deprecation\'s sunset is "soon", which is no day such as 2026-12-01'],
  ],
  [
    { since: "2026-12-01", sunset: "2026-11-30" },
    ["the deprecation's sunset 2026-11-30 is before its since 2026-12-01"],
  ],
  [{ since: "2026-12-01", link: "see the docs" }, ['the deprecation\'s link "see the docs" is no URI']],
])("%o", (said, found) => {
  expect(problems(ReviewService, said)).toEqual(found);
});

test("a day for what nobody has deprecated is a mistake", () => {
  expect(problems(OrderService, { since: "2026-12-01" })).toEqual([
    "it says when what is deprecated will be gone, but no method is deprecated",
  ]);
});
