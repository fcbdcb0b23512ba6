import {
  type DescField,
  type DescMessage,
  type DescMethod,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import {
  type Access as AccessOption,
  Level as LevelOption,
  method as methodOption,
  service as serviceOption,
} from "../../gen/mesh/auth/v1/auth_pb.ts";
import { fieldsAt } from "./field-path.ts";

/** Whom a method is for. */
export type Level = "public" | "customer" | "self" | "operator" | "internal";

/** What the contract says of who may call a method. */
export interface Access {
  readonly level: Level;
  /** For `self`: the fields that lead to the owner in the request. Undefined if the service knows the owner only when it has looked. */
  readonly ownerPath: readonly DescField[] | undefined;
  /** True if services may call it in their own name. */
  readonly services: boolean;
}

const LEVELS: Readonly<Record<number, Level>> = {
  [LevelOption.PUBLIC]: "public",
  [LevelOption.CUSTOMER]: "customer",
  [LevelOption.SELF]: "self",
  [LevelOption.OPERATOR]: "operator",
  [LevelOption.INTERNAL]: "internal",
};

/**
 * Who may call a method: what the method says, or else its service. Undefined if neither says it, or if what they say cannot
 * work ({@link accessProblems}).
 */
export function accessOf(method: DescMethod): Access | undefined {
  const stated = statedAccess(method);
  const level = stated && LEVELS[stated.level];
  if (!stated || !level || accessProblems(method).length > 0) return undefined;
  const ownerPath =
    stated.owner.case === "ownerField" ? ownerPathOf(method.input, stated.owner.value) : undefined;
  return { level, ownerPath, services: stated.services || level === "internal" };
}

/** What cannot work about who may call a method, each a sentence without its subject and its full stop. */
export function accessProblems(method: DescMethod): string[] {
  const stated = statedAccess(method);
  if (!stated || LEVELS[stated.level] === undefined) return ["states no level of (mesh.auth.v1.method)"];
  const { level, owner } = stated;
  if (level !== LevelOption.SELF)
    return owner.case === undefined ? [] : ["says whose own it is, which LEVEL_SELF alone asks for"];
  switch (owner.case) {
    case "ownerField":
      if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming")
        return ["is a stream of requests, so no field of one request says whose own it is"];
      return ownerPathOf(method.input, owner.value)
        ? []
        : [`names "${owner.value}" as the owner, which is no text of ${method.input.typeName}`];
    case "ownerKept":
      return owner.value ? [] : ["does not say how it is known whose own it is"];
    default:
      return ["does not say how it is known whose own it is"];
  }
}

function statedAccess(method: DescMethod): AccessOption | undefined {
  if (hasOption(method, methodOption)) return getOption(method, methodOption);
  return hasOption(method.parent, serviceOption) ? getOption(method.parent, serviceOption) : undefined;
}

/** The fields that lead to the text that names the owner, such as `review.customer_id`; undefined if they lead to none. */
function ownerPathOf(message: DescMessage, path: string): readonly DescField[] | undefined {
  const fields = fieldsAt(message, path);
  const last = fields?.at(-1);
  return last?.fieldKind === "scalar" && last.scalar === ScalarType.STRING ? fields : undefined;
}
