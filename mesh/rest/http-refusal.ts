import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import type { AppError } from "../core/errors.ts";

/** A refusal for which HTTP has a status of its own, more exact than that of its gRPC code. */
export class HttpRefusal extends Error {
  override readonly name = "HttpRefusal";
  readonly status: number;
  readonly error: AppError;
  /** What the answer says beside its body. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, error: AppError, headers: Readonly<Record<string, string>> = {}) {
    super(error.message);
    this.status = status;
    this.error = error;
    this.headers = headers;
  }
}

/** 404: no RPC has this path. */
export function noRoute(path: string): HttpRefusal {
  return new HttpRefusal(404, refuseByMesh(MeshError.NO_ROUTE, `there is no ${path} here`));
}

/** 405: the path is there, but not by this method. */
export function methodNotAllowed(method: string, path: string, allowed: readonly string[]): HttpRefusal {
  const allow = allowed.join(", ");
  const text = `${path} takes ${allow}, not ${method}`;
  return new HttpRefusal(405, refuseByMesh(MeshError.METHOD_NOT_ALLOWED, text), { allow });
}

/** 406: the caller takes nothing that can be sent. */
export function notAcceptable(offers: readonly string[]): HttpRefusal {
  const text = `the answer comes as ${offers.join(" or ")}, which accept leaves out`;
  return new HttpRefusal(406, refuseByMesh(MeshError.NOT_ACCEPTABLE, text));
}

/** 415: the body is nothing that is read here. */
export function unsupportedMediaType(text: string, accept: string): HttpRefusal {
  return new HttpRefusal(415, refuseByMesh(MeshError.UNSUPPORTED_MEDIA_TYPE, text), { accept });
}

/** 413: the body is too large. */
export function bodyTooLarge(what: string, maxBytes: number): HttpRefusal {
  const text = `${what} is larger than ${maxBytes} bytes`;
  return new HttpRefusal(413, refuseByMesh(MeshError.BODY_TOO_LARGE, text));
}

/** 408: the body did not come in time. The connection is closed, since the rest of the body is no request. */
export function bodyTooSlow(withinMs: number): HttpRefusal {
  const text = `the body did not come within ${withinMs / 1000} s`;
  return new HttpRefusal(408, refuseByMesh(MeshError.BODY_TOO_SLOW, text), { connection: "close" });
}
