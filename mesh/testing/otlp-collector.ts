import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { atEnd } from "./at-end.ts";

/** A span as a collector gets it. */
export interface CollectedSpan {
  /** The `service.name` of its resource. */
  readonly service: string;
  /** The `service.instance.id`. */
  readonly instance: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty if it begins the trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: "client" | "server" | "producer" | "consumer" | "other";
  /** Those that are texts. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Takes the spans of real processes. */
export interface OtlpCollector {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  /** All that have come so far. */
  readonly spans: readonly CollectedSpan[];
}

/** Listens for OTLP over HTTP, as Protobuf. It ends with the test, or the test file. */
export async function otlpCollector(): Promise<OtlpCollector> {
  const spans: CollectedSpan[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === "/v1/traces") spans.push(...readSpans(Buffer.concat(chunks)));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans };
}

// The numbers below are those of opentelemetry/proto/trace/v1/trace.proto and its neighbours.
const KINDS: Readonly<Record<number, CollectedSpan["kind"]>> = {
  2: "server",
  3: "client",
  4: "producer",
  5: "consumer",
};

function readSpans(request: Uint8Array): CollectedSpan[] {
  return fieldsOf(request)
    .bytes(1)
    .flatMap((resourceSpans) => {
      const { bytes } = fieldsOf(resourceSpans);
      const resource = attributesOf(bytes(1).flatMap((each) => fieldsOf(each).bytes(1)));
      return bytes(2)
        .flatMap((scopeSpans) => fieldsOf(scopeSpans).bytes(2))
        .map((span) => {
          const { bytes: all, number } = fieldsOf(span);
          const hex = (field: number) => Buffer.from(all(field)[0] ?? []).toString("hex");
          return {
            service: resource["service.name"] ?? "",
            instance: resource["service.instance.id"] ?? "",
            traceId: hex(1),
            spanId: hex(2),
            parentId: hex(4),
            name: textOf(all(5)[0]),
            kind: KINDS[number(6)] ?? "other",
            attributes: attributesOf(all(9)),
          };
        });
    });
}

function attributesOf(pairs: readonly Uint8Array[]): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of pairs) {
    const { bytes } = fieldsOf(pair);
    const [text] = fieldsOf(bytes(2)[0] ?? new Uint8Array()).bytes(1);
    if (text) attributes[textOf(bytes(1)[0])] = textOf(text);
  }
  return attributes;
}

function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}

/** The fields of a message whose type is not generated here. */
function fieldsOf(message: Uint8Array) {
  const found = new Map<number, (Uint8Array | number)[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const values = found.get(field) ?? [];
    found.set(field, values);
    if (type === WireType.LengthDelimited) values.push(reader.bytes());
    else if (type === WireType.Varint) values.push(Number(reader.uint64()));
    else reader.skip(type, field);
  }
  return {
    bytes: (field: number) => (found.get(field) ?? []).filter((value) => typeof value === "object"),
    number: (field: number) => (found.get(field) ?? []).find((value) => typeof value === "number") ?? 0,
  };
}
