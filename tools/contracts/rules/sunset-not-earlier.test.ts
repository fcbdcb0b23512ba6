import { clearExtension } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { deprecation } from "../../../gen/mesh/policy/v1/deprecation_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./sunset-not-earlier.ts";

const REVIEWS = "shop.review.v1.ReviewService";

const sunset =
  (day: string) =>
  ({ service }: Editor) =>
    editOption(service(REVIEWS), deprecation, (its) => {
      its.sunset = day;
    });
const stays = ({ service }: Editor) => {
  const { options } = service(REVIEWS);
  if (options) clearExtension(options, deprecation);
};

const today = (day: string) => vi.setSystemTime(new Date(`${day}T12:00:00Z`));
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  today("2027-06-15");
});
afterEach(() => void vi.useRealTimers());

test("a sunset may stay, come later, be open, or be no more", () => {
  expect(objections(rule)).toEqual([]);
  for (const edit of [sunset("2027-12-01"), sunset("2028-01-01"), sunset(""), stays])
    expect(objections(rule, edit, sunset("2027-12-01"))).toEqual([]);
});

test("what was open, or was to stay, may be given a day", () => {
  expect(objections(rule, sunset("2027-07-01"), sunset(""))).toEqual([]);
  expect(objections(rule, sunset("2027-07-01"), stays)).toEqual([]);
});

test.each(["2027-11-30", "2026-12-31"])(
  "it may not come on %s if it was to come the day after November",
  (day) => {
    expect(objections(rule, sunset(day), sunset("2027-12-01"))).toEqual([
      `${REVIEWS} moves its sunset from 2027-12-01 to ${day}; callers were told that they have until 2027-12-01.`,
    ]);
  },
);

test("one that has come gives nobody time, so it may be any day", () => {
  today("2027-12-01");
  expect(objections(rule, sunset("2027-11-30"), sunset("2027-12-01"))).toEqual([]);
  today("2027-11-30");
  expect(objections(rule, sunset("2027-11-29"), sunset("2027-12-01"))).toHaveLength(1);
});
