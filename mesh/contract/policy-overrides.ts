import { type DescMethod, type DescService, fromJsonString } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type MethodPolicy as MethodOptions,
  PolicyOverridesSchema,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { messageOf } from "../core/errors.ts";
import { CRITICALITIES, methodName, methodPolicy, type Overrides } from "./policy.ts";
import { policyProblems } from "./policy-problems.ts";

/**
 * Reads overrides from JSON and checks them whole against the contracts of these services: unknown names, semantics
 * that are not tighter than the contract's, and policies that cannot work are refused, all in one error. Services that
 * are not among these are left for the processes that know them.
 */
export function parseOverrides(json: string, services: readonly DescService[]): Overrides {
  let overrides: Overrides;
  try {
    overrides = fromJsonString(PolicyOverridesSchema, json);
  } catch (error) {
    throw new Error(`the policy file is not what mesh.policy.v1.PolicyOverrides allows: ${messageOf(error)}`);
  }
  const problems = [
    ...misnamed(overrides),
    ...services.flatMap((service) => [
      ...unknownMethods(service, overrides),
      ...service.methods.flatMap((method) => loosened(method, overrides)),
      ...policyProblems(service, overrides),
    ]),
  ];
  if (problems.length > 0) {
    const lines = problems.map((problem) => `  - ${problem}`).join("\n");
    throw new Error(`the policy file has ${problems.length} problem(s):\n${lines}`);
  }
  return overrides;
}

function misnamed({ methods, services }: Overrides): string[] {
  return [
    ...Object.keys(methods).filter((name) => !/^[^/]+\/[^/]+$/.test(name)),
    ...Object.keys(services).filter((name) => name.includes("/")),
  ].map((name) => `${name}: methods are named package.Service/Method, services package.Service`);
}

function unknownMethods(service: DescService, { methods }: Overrides): string[] {
  const known = service.methods.map(methodName);
  return Object.keys(methods)
    .filter((name) => name.startsWith(`${service.typeName}/`) && !known.includes(name))
    .map((name) => `${name}: there is no such method`);
}

function loosened(method: DescMethod, overrides: Overrides): string[] {
  const contract = methodPolicy(method);
  const layers = [overrides.services[method.parent.typeName]?.defaults, overrides.methods[contract.name]];
  return layers.flatMap((layer) =>
    layer ? [...loosenedBy(layer, contract)].map((what) => `${contract.name}: ${what}`) : [],
  );
}

function* loosenedBy(layer: MethodOptions, contract: ReturnType<typeof methodPolicy>): Generator<string> {
  const { criticality, idempotencyKeyField, notProcessedCodes, dedupeTtl } = layer;
  if (criticality !== 0) {
    const asked = CRITICALITIES[criticality - 1];
    if (!asked) yield `its criticality ${criticality} is none`;
    else if (CRITICALITIES.indexOf(asked) < CRITICALITIES.indexOf(contract.criticality)) {
      yield "its criticality may be lowered here, not raised";
    }
  }
  if (idempotencyKeyField !== "") yield "its idempotency_key_field is a fact of the contract";
  if (notProcessedCodes.some((code) => !contract.notProcessedCodes.includes(code as number))) {
    yield "not_processed_codes are a guarantee of the server; none can be added here";
  }
  if (dedupeTtl && durationMs(dedupeTtl) < contract.dedupeTtlMs)
    yield "its dedupe_ttl may be raised here, not lowered";
}
