import { createHash, timingSafeEqual } from "node:crypto";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import { currentWork } from "../../core/work.ts";

/**
 * Who is an operator: whoever carries the token, and who has signed in as one. With no token set, as on one's own machine,
 * everybody is, unless callers must prove who they are.
 */
export interface Operators {
  /** True if the header `mesh-operator-token` proves it, or the present work is an operator's. */
  isOperator(header: Headers): boolean;
  /** Throws OPERATORS_ONLY if it does not. */
  assertOperator(header: Headers): void;
}

/** Compares in a time that says nothing about where the tokens differ. */
export function operatorsBy(token: string, mustProve = false): Operators {
  const expected = digest(token);
  const carriesToken = (header: Headers) =>
    token === "" ? !mustProve : timingSafeEqual(digest(header.get("mesh-operator-token") ?? ""), expected);
  const isOperator = (header: Headers) => currentWork()?.caller?.kind === "operator" || carriesToken(header);
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
