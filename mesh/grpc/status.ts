import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { appendFields, findValue, toLegalFields } from "./metadata.ts";
import { decodeMessage, encodeMessage } from "./percent-encoding.ts";

const STATUS = "grpc-status";
const MESSAGE = "grpc-message";
const DETAILS = "grpc-status-details-bin";

type Details = ConnectError["details"];

/** The trailers of a call that went well: one list for all of them. */
const OK_TRAILERS: readonly HeaderField[] = Object.freeze([Object.freeze({ name: STATUS, value: "0" })]);

/**
 * The status of a call as trailers, OK without an error: the code, the message, the details as `google.rpc.Status` and the
 * error's metadata. Of an error that came off the wire itself the metadata stays here: it tells of another call. Never
 * throws.
 */
export function toTrailers(error: ConnectError | undefined): readonly HeaderField[] {
  if (error === undefined) return OK_TRAILERS;
  const code = isCode(error.code) ? error.code : Code.Unknown;
  const message = error.rawMessage;
  const trailers: HeaderField[] = [{ name: STATUS, value: String(code) }];
  if (message !== "") trailers.push({ name: MESSAGE, value: encodeMessage(message), indexing: "literal" });
  const details = error.details.length === 0 ? undefined : encodeDetails(code, message, error.details);
  if (details !== undefined) trailers.push({ name: DETAILS, value: details, indexing: "literal" });
  return error.isWireError ? trailers : trailers.concat(toLegalFields(error.metadata));
}

/** A `google.rpc.Status` in base64 without padding; undefined if a detail is none that can be written. */
function encodeDetails(code: Code, message: string, details: Details): string | undefined {
  try {
    const status = create(StatusSchema, {
      code,
      message,
      details: details.map((detail) =>
        "desc" in detail
          ? anyPack(detail.desc, create(detail.desc, detail.value))
          : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
      ),
    });
    return base64Encode(toBinary(StatusSchema, status), "std_raw");
  } catch {
    // The code and the message tell more than an error of an error would.
    return undefined;
  }
}

/** True if the fields say how a call ended: trailers, or the headers of an answer that is Trailers-Only. */
export function hasStatus(fields: readonly HeaderField[]): boolean {
  return findValue(fields, STATUS) !== undefined;
}

/** True for trailers that say that all went well, which is quicker than to read them whole. */
export function isOk(fields: readonly HeaderField[]): boolean {
  return findValue(fields, STATUS) === "0";
}

/**
 * How a call ended, by its trailers: undefined if it went well. Other fields become the error's metadata. A status that is
 * none of gRPC's is UNKNOWN, one that is missing INTERNAL; details that cannot be read, or belong to another code, are
 * left out. Never throws.
 */
export function fromTrailers(fields: readonly HeaderField[]): ConnectError | undefined {
  let status: string | undefined;
  for (const { name, value } of fields) {
    if (name === STATUS) status = status === undefined ? value : `${status}, ${value}`;
  }
  if (status === "0") return undefined;
  const error = errorOf(status, fields);
  appendFields(
    error.metadata,
    fields.filter(({ name }) => !OF_STATUS.has(name)),
  );
  error.isWireError = true;
  return error;
}

function errorOf(status: string | undefined, fields: readonly HeaderField[]): ConnectError {
  const encoded = findValue(fields, MESSAGE);
  const message = encoded === undefined ? undefined : decodeMessage(encoded);
  const said = message ? `: ${message}` : "";
  if (status === undefined) {
    return new ConnectError(`the answer ended without a grpc-status${said}`, Code.Internal);
  }
  const code = /^[1-9]\d?$/.test(status) ? Number(status) : undefined;
  if (!isCode(code)) {
    return new ConnectError(`the answer has the grpc-status "${status}"${said}`, Code.Unknown);
  }
  const detailed = decodeDetails(code, findValue(fields, DETAILS));
  const error = new ConnectError(message ?? detailed?.message ?? "", code);
  if (detailed) error.details = detailed.details;
  return error;
}

const OF_STATUS: ReadonlySet<string> = new Set([STATUS, MESSAGE, DETAILS]);

function decodeDetails(
  code: Code,
  value: string | undefined,
): { message: string; details: Details } | undefined {
  if (value === undefined) return undefined;
  try {
    const status = fromBinary(StatusSchema, base64Decode(value));
    if (status.code !== code) return undefined;
    const details = status.details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value,
    }));
    return { message: status.message, details };
  } catch {
    return undefined;
  }
}

function isCode(code: number | undefined): code is Code {
  return code !== undefined && Code[code] !== undefined;
}

/** The code of an answer that is no gRPC, by its HTTP status (gRPC's http-grpc-status-mapping). */
export function codeFromHttpStatus(status: number): Code {
  switch (status) {
    case 400:
      return Code.Internal;
    case 401:
      return Code.Unauthenticated;
    case 403:
      return Code.PermissionDenied;
    case 404:
      return Code.Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code.Unavailable;
    default:
      return Code.Unknown;
  }
}

/** The code of a call whose stream was reset, by the error code of HTTP/2 (PROTOCOL-HTTP2, Errors; RFC 9113, section 7). */
export function codeFromErrorCode(errorCode: number): Code {
  switch (errorCode) {
    // REFUSED_STREAM
    case 0x7:
      return Code.Unavailable;
    // CANCEL
    case 0x8:
      return Code.Canceled;
    // ENHANCE_YOUR_CALM
    case 0xb:
      return Code.ResourceExhausted;
    // INADEQUATE_SECURITY
    case 0xc:
      return Code.PermissionDenied;
    default:
      return Code.Internal;
  }
}
