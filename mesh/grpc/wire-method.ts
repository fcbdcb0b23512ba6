import type { DescMessage, DescMethod, Registry } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import type { ClientConnection } from "../http2/client-connection.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { HeaderTemplate } from "../http2/hpack/header-template.ts";
import { answerProblem } from "./answer-head.ts";
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
  #good: readonly HeaderField[] | undefined;

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

  /** Says what is wrong with the headers of an answer. */
  problemOf(fields: readonly HeaderField[], isEnd: boolean): ConnectError | undefined {
    // The decoder gives the same list for the same block, as most answers of a connection have.
    if (fields === this.#good && !isEnd) return undefined;
    const problem = answerProblem(fields, this.format, isEnd);
    if (!problem && !isEnd) this.#good = fields;
    return problem;
  }

  /** Its headers on this connection, encoded once. */
  headers(connection: ClientConnection): HeaderTemplate {
    return connection.templateOf(this, this.#fields);
  }
}
