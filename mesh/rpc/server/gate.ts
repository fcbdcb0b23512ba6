import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import type { Criticality } from "../../contract/policy.ts";

/** A call as its headers tell it, its body unread. */
export interface ArrivingCall {
  readonly method: DescMethod;
  readonly criticality: Criticality;
  /** When its caller stops waiting, on the clock. */
  readonly deadlineMs: number;
}

/**
 * A layer of the server's stack that refuses calls by what their headers say. It is asked twice: before a call's body is
 * read, when refusing costs least, and in its place in the stack, which has the last word.
 */
export interface Gate {
  readonly interceptor: Interceptor;
  /** What it refuses such a call with right now; undefined if it lets it pass. */
  refusal(call: ArrivingCall): Error | undefined;
}

/** True for health, reflection and administration, which must answer when nothing else does. */
export function isForOperators(service: DescService): boolean {
  return service.typeName.startsWith("grpc.") || service.typeName.startsWith("mesh.admin.");
}
