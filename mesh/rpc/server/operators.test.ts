import { expect, test } from "vitest";
import { operatorsBy } from "./operators.ts";

const carrying = (token: string) => new Headers({ "mesh-operator-token": token });

test("an operator is who carries the token, as it is", () => {
  const { isOperator, assertOperator } = operatorsBy("the-token");
  expect(isOperator(carrying("the-token"))).toBe(true);
  assertOperator(carrying("the-token"));
  for (const token of ["", "the-toke", "the-token2", "THE-TOKEN"]) {
    expect(isOperator(carrying(token))).toBe(false);
  }
  expect(() => assertOperator(new Headers())).toThrow(
    expect.objectContaining({ reason: "OPERATORS_ONLY", domain: "mesh.weft" }),
  );
});

test("where no token is set everybody is one", () => {
  const { isOperator, assertOperator } = operatorsBy("");
  assertOperator(new Headers());
  expect(isOperator(carrying("any"))).toBe(true);
});
