import { CodeSchema } from "../../../gen/google/rpc/code_pb.ts";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { type MethodPolicy, methodPolicy } from "../../../mesh/contract/policy.ts";
import { keptMethods } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

/** Callers in the field go on retrying what the contract once called harmless. */
export const rule: BreakingRule = {
  id: "MESH_IDEMPOTENCY_NOT_DROPPED",
  purpose: "Checks that no RPC takes back what made it safe to repeat.",
  *compare(before, now) {
    for (const [was, is] of keptMethods(before, now)) {
      const present = methodPolicy(is);
      for (const what of dropped(methodPolicy(was), present))
        yield { at: is, option: policy, message: `${present.name} ${what}.` };
    }
  },
};

function* dropped(was: MethodPolicy, is: MethodPolicy): Generator<string> {
  if (was.isIdempotent && !is.isIdempotent) yield "is not idempotent any more";
  else if (was.hasNoSideEffects && !is.hasNoSideEffects)
    yield "has side effects now, so it can no more be cached or asked by GET";
  if (was.keyField !== undefined && is.keyField !== was.keyField && !is.isIdempotent)
    yield `does not take ${was.keyField} as its idempotency key any more`;
  if (was.keyField !== undefined && is.dedupeTtlMs < was.dedupeTtlMs)
    yield `remembers a key for ${is.dedupeTtlMs} ms, no more for ${was.dedupeTtlMs} ms`;
  const gone = was.notProcessedCodes.filter((code) => !is.notProcessedCodes.includes(code));
  for (const code of gone) yield `does not guarantee any more that nothing was done at ${nameOf(code)}`;
}

function nameOf(code: number): string {
  return CodeSchema.values.find(({ number }) => number === code)?.name ?? String(code);
}
