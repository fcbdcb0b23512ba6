import { expect, test } from "vitest";
import { missingData, writeMail } from "./templates.ts";

test("a template says what it is filled with, to the customer by name", () => {
  const { subject, text } = writeMail("ORDER_CONFIRMED", "Ada", { order_id: "o-1", total: "12.99 EUR" });
  expect(subject).toBe("Your order is confirmed");
  expect(text).toContain("Dear Ada,");
  expect(text).toContain("Your order o-1 over 12.99 EUR is paid");
});

test("what a template needs and does not have is named", () => {
  expect(missingData("ORDER_REJECTED", { order_id: "o-1", reason: "" })).toEqual(["reason"]);
  expect(missingData("ORDER_REJECTED", {})).toEqual(["order_id", "reason"]);
  expect(missingData("WELCOME", {})).toEqual([]);
});
