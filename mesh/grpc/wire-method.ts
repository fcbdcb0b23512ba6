import type { DescMessage, DescMethod, Registry } from "@bufbuild/protobuf";
import type { ClientConnection } from "../http2/client-connection.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { HeaderTemplate } from "../http2/hpack/header-template.ts";
import { type Codec, codecOf } from "./codec.ts";
import { acceptEncoding, type Compression, identity } from "./compression.ts";
import type { Format } from "./content-type.ts";

const USER_AGENT = "grpc-node-weft/1";

/** A method as one client calls it: what does not differ from call to call. */
export class WireMethod {
  readonly desc: DescMethod;
  readonly format: Format;
  readonly request: Codec<DescMessage>;
  readonly answer: Codec<DescMessage>;
  readonly #fields: readonly HeaderField[];

  constructor(
    desc: DescMethod,
    authority: string,
    scheme: "http" | "https",
    format: Format,
    compression: Compression,
    registry?: Registry,
  ) {
    this.desc = desc;
    this.format = format;
    this.request = codecOf(desc.input, format, registry);
    this.answer = codecOf(desc.output, format, registry);
    this.#fields = [
      { name: ":method", value: "POST" },
      { name: ":scheme", value: scheme },
      { name: ":path", value: `/${desc.parent.typeName}/${desc.name}` },
      { name: ":authority", value: authority },
      { name: "te", value: "trailers" },
      { name: "content-type", value: `application/grpc+${format}` },
      { name: "user-agent", value: USER_AGENT },
      { name: "grpc-accept-encoding", value: acceptEncoding() },
      ...(compression === identity ? [] : [{ name: "grpc-encoding", value: compression.name }]),
    ];
  }

  /** Its headers on this connection, encoded once. */
  headers(connection: ClientConnection): HeaderTemplate {
    return connection.templateOf(this, this.#fields);
  }
}
