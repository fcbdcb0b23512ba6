import type { JsonObject } from "@bufbuild/protobuf";
import type { HiddenPayload } from "../gen/mesh/admin/v1/hidden_payload_pb.ts";

/** The examples of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  meshctl ${line}`).join("\n")}`;
}

/** What a message says, as the contracts put it. */
export type Payload =
  | { readonly case: "content"; readonly value: JsonObject }
  | { readonly case: "raw"; readonly value: Uint8Array }
  | { readonly case: "hidden"; readonly value: HiddenPayload }
  | { readonly case: undefined; readonly value?: undefined };

/** A payload for people. */
export function shownPayload(payload: Payload): string {
  if (payload.case === "content") return JSON.stringify(payload.value, null, 2);
  if (payload.case === "hidden") {
    const { sizeBytes, sha256 } = payload.value;
    return `${sizeBytes} bytes that cannot be read and may be personal, SHA-256 ${sha256}`;
  }
  const bytes = payload.case === "raw" ? payload.value : new Uint8Array();
  return `${Buffer.from(bytes).toString("base64")} (base64)`;
}

/** The last part of a type, which is what people know it by. */
export function lastPart(type: string): string {
  return type.slice(type.lastIndexOf(".") + 1);
}

/** The beginning of a text, for a cell of a table. */
export function shortened(text: string): string {
  const [line = ""] = text.split("\n");
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
