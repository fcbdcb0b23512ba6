/** How a message is written: protobuf's binary format, or its JSON. */
export type Format = "proto" | "json";

/**
 * The format of a gRPC `content-type`, with any parameters; undefined if it is not gRPC's, or of a format that we have not.
 * gRPC-Web's are other types. A server answers those of another protocol with HTTP 415.
 */
export function parseContentType(value: string): Format | undefined {
  const end = value.indexOf(";");
  const type = (end < 0 ? value : value.slice(0, end)).trimEnd();
  return FORMATS.get(type) ?? FORMATS.get(type.toLowerCase());
}

const FORMATS: ReadonlyMap<string, Format> = new Map([
  ["application/grpc", "proto"],
  ["application/grpc+proto", "proto"],
  ["application/grpc+json", "json"],
]);
