import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import { type ErrorMessage, ErrorSchema } from "./contract.ts";

const PREFIX = "type.googleapis.com/";

/** The error that the suite asks for, with these details after its own. */
export function toConnectError(error: ErrorMessage, details: readonly Any[] = []): ConnectError {
  const made = new ConnectError(error.message ?? "", error.code as number as Code);
  made.details = [...error.details, ...details].map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return made;
}

/** An error of a call, as the suite wants to see it. */
export function toErrorMessage(error: ConnectError): ErrorMessage {
  return create(ErrorSchema, {
    code: error.code as number as ErrorMessage["code"],
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : create(AnySchema, { typeUrl: `${PREFIX}${detail.type}`, value: detail.value }),
    ),
  });
}
