import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ConnectError, type ContextValues, createContextValues } from "@connectrpc/connect";
import { runWork } from "../../core/work.ts";
import type { ReadHeader } from "../call-headers.ts";
import { toConnectError } from "../errors.ts";
import { ARRIVED, type ReadCallOptions, readCall, workOf } from "./begin-work.ts";
import type { CallWork } from "./call-work.ts";
import { answerUnread, encoderFor } from "./early-answer.ts";
import type { ArrivingCall, Gate } from "./gate.ts";
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

const WORK = Symbol("work");

// On the request itself: a weak map that is written for each call costs more, in garbage collection, than all layers.
interface Arrived {
  [WORK]?: CallWork;
}

/** What stands before Connect. */
export interface EarlyGate {
  /** What refuses a call, or the context values of the one that passes. */
  arrive(method: DescMethod, header: ReadHeader): ConnectError | ContextValues;
  /** Answers a call that the gates refuse. True if it did; what they let pass is theirs again in the stack. */
  refuses(...args: Parameters<RequestHandler>): boolean;
  /** Hands what has been read of a call to the stack, so that it need not be read twice. */
  contextValues(request: IncomingMessage | Http2ServerRequest): ContextValues;
}

/**
 * Refuses calls by their headers alone, without reading their bodies: what is refused because there is too much to do
 * must cost next to nothing.
 */
export function earlyGate(options: EarlyGateOptions): EarlyGate {
  const { services, gates, onRefused, sampler } = options;
  const methods = new Map<string, DescMethod>(
    services.flatMap((service) =>
      service.methods.map((method) => [`/${service.typeName}/${method.name}`, method] as const),
    ),
  );
  function refuses(...[request, response]: Parameters<RequestHandler>): boolean {
    const { url = "", headers } = request;
    const method = methods.get(url) ?? methods.get(url.split("?", 1)[0] ?? "");
    if (!method) return false;
    const header: ReadHeader = (name) => headers[name] as string | undefined;
    const call = readCall(method, header, options);
    const work = workOf(call, header, sampler);
    const refusal = refusalOf(call);
    if (!refusal) {
      (request as Arrived)[WORK] = work;
      return false;
    }
    const encode = encoderFor(request, method);
    if (!encode) return false;
    answerUnread(request, response, encode(told(refusal, work, method, header)));
    return true;
  }

  function refusalOf(call: ArrivingCall): Error | undefined {
    for (const gate of gates) {
      const refusal = gate.refusal(call);
      if (refusal) return refusal;
    }
    return undefined;
  }

  function told(refusal: Error, work: CallWork, method: DescMethod, header: ReadHeader): ConnectError {
    const error = toConnectError(refusal);
    runWork(work, () => onRefused({ method, header, error }));
    return error;
  }

  return {
    arrive(method, header) {
      const call = readCall(method, header, options);
      const work = workOf(call, header, sampler);
      const refusal = refusalOf(call);
      return refusal ? told(refusal, work, method, header) : createContextValues().set(ARRIVED, work);
    },
    refuses,
    contextValues: (request) => createContextValues().set(ARRIVED, (request as Arrived)[WORK]),
  };
}
