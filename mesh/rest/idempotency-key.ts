import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { MethodPolicy } from "../contract/policy.ts";
import { invalidRequest } from "../rpc/server/validation.ts";

const NAME = "idempotency-key";

/**
 * Puts the header `idempotency-key` into the field of the request that its contract names as the key. Throws INVALID_REQUEST
 * if the request names another key, or if the method keeps none and would do the same thing twice all the same.
 */
export function putIdempotencyKey(
  header: Headers,
  method: DescMethod,
  message: Message,
  { keyField, isIdempotent }: MethodPolicy,
): void {
  const said = header.get(NAME);
  if (said === null) return;
  if (keyField === undefined) {
    if (isIdempotent) return;
    throw refused(`${method.name} keeps no key: it would be done again`);
  }
  // The draft of the IETF has it in quotes, most callers do not.
  const key = /^"(.*)"$/.exec(said)?.[1] ?? said;
  const request = message as unknown as Record<string, unknown>;
  const inRequest = request[keyField];
  if (inRequest !== "" && inRequest !== key) throw refused("is another key than that of the request");
  request[keyField] = key;
}

function refused(description: string) {
  return invalidRequest([{ field: NAME, description }]);
}
