import { createHash, timingSafeEqual } from "node:crypto";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";

/** Who is an operator: whoever carries the token; with no token set, as on one's own machine, everybody. */
export interface Operators {
  /** True if the header `mesh-operator-token` proves it. */
  isOperator(header: Headers): boolean;
  /** Throws OPERATORS_ONLY if it does not. */
  assertOperator(header: Headers): void;
}

/** Compares in a time that says nothing about where the tokens differ. */
export function operatorsBy(token: string): Operators {
  const expected = digest(token);
  const isOperator = (header: Headers) =>
    token === "" || timingSafeEqual(digest(header.get("mesh-operator-token") ?? ""), expected);
  return {
    isOperator,
    assertOperator(header) {
      if (isOperator(header)) return;
      throw refuseByMesh(MeshError.OPERATORS_ONLY, "this is for operators: send mesh-operator-token");
    },
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
