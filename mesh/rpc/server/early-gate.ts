import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { runWork } from "../../core/work.ts";
import type { ReadHeader } from "../call-headers.ts";
import { toConnectError } from "../errors.ts";
import { type ReadCallOptions, readCall, workOf } from "./begin-work.ts";
import { answerUnread, encoderFor } from "./early-answer.ts";
import type { Gate } from "./gate.ts";
import type { RequestHandler } from "./port.ts";

/** A call that was refused before its body was read, so that no interceptor has seen it. */
export interface EarlyRefusal {
  readonly method: DescMethod;
  readonly header: ReadHeader;
  readonly error: ConnectError;
}

/** What the early gate needs. */
export interface EarlyGateOptions extends ReadCallOptions {
  readonly services: readonly DescService[];
  /** Those of the stack, in its order. */
  readonly gates: readonly Gate[];
  /** Learns of each refusal, as the work that the call would have been. */
  readonly onRefused: (refusal: EarlyRefusal) => void;
}

/**
 * Answers a call that the gates refuse by its headers alone, without reading its body: what is refused because there is
 * too much to do must cost next to nothing. True if it did; what the gates let pass is theirs again in the stack.
 */
export function earlyGate(options: EarlyGateOptions): (...args: Parameters<RequestHandler>) => boolean {
  const { services, gates, onRefused, sampler } = options;
  const methods = new Map<string, DescMethod>(
    services.flatMap((service) =>
      service.methods.map((method) => [`/${service.typeName}/${method.name}`, method] as const),
    ),
  );
  return (request, response) => {
    const { url = "", headers } = request;
    const method = methods.get(url) ?? methods.get(url.split("?", 1)[0] ?? "");
    if (!method) return false;
    const header: ReadHeader = (name) => headers[name] as string | undefined;
    const call = readCall(method, header, options);
    for (const gate of gates) {
      const refusal = gate.refusal(call);
      if (!refusal) continue;
      const encode = encoderFor(request, method);
      if (!encode) return false;
      const error = toConnectError(refusal);
      runWork(workOf(call, header, sampler), () => onRefused({ method, header, error }));
      answerUnread(request, response, encode(error));
      return true;
    }
    return false;
  };
}
