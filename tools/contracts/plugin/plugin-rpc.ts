import { parseArgs } from "node:util";
import {
  create,
  createRegistry,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { RequestSchema, ResponseSchema, SpecSchema } from "../../../gen/pluginrpc/v1/pluginrpc_pb.ts";
import { messageOf } from "../../../mesh/core/errors.ts";

/** Something that a plugin can be asked, and how it answers. */
export interface Procedure<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage> {
  /** Such as "/buf.plugin.check.v1.CheckService/Check". */
  readonly path: string;
  readonly input: I;
  readonly output: O;
  readonly answer: (request: MessageShape<I>) => MessageShape<O> | Promise<MessageShape<O>>;
}

/** Keeps the types of a procedure together. */
export function procedure<I extends DescMessage, O extends DescMessage>(its: Procedure<I, O>): Procedure {
  return its as unknown as Procedure;
}

/**
 * What a plugin of PluginRPC writes to stdout for its arguments and its stdin. Throws if it is asked for what is not in
 * the protocol; a procedure that fails is an answer.
 */
export async function answerPlugin(
  procedures: readonly Procedure[],
  args: readonly string[],
  stdin: () => Promise<Uint8Array>,
): Promise<string | Uint8Array> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      protocol: { type: "boolean" },
      spec: { type: "boolean" },
      format: { type: "string", default: "binary" },
    },
  });
  if (values.protocol) return "1\n";
  const format = formats[values.format as keyof typeof formats];
  if (!format) throw new Error(`--format is binary or json, not ${values.format}`);
  const { write, read } = format(procedures);
  if (values.spec) return write(SpecSchema, create(SpecSchema, { procedures: [...procedures] }));
  const asked = procedures.find(({ path }) => path === positionals[0]);
  if (!asked) throw new Error(`there is no procedure ${positionals[0]}`);
  const bytes = await stdin();
  const { value } = bytes.length > 0 ? read(RequestSchema, bytes) : create(RequestSchema);
  try {
    const request = value ? anyUnpack(value, asked.input) : create(asked.input);
    if (!request) throw new Error(`${asked.path} wants ${asked.input.typeName}, not ${value?.typeUrl}`);
    const answer = anyPack(asked.output, await asked.answer(request));
    return write(ResponseSchema, create(ResponseSchema, { value: answer }));
  } catch (error) {
    const why = { code: Code.INTERNAL, message: messageOf(error) };
    return write(ResponseSchema, create(ResponseSchema, { error: why }));
  }
}

const formats = {
  binary: () => ({
    read: <D extends DescMessage>(schema: D, bytes: Uint8Array) => fromBinary(schema, bytes),
    write: <D extends DescMessage>(schema: D, message: MessageShape<D>) => toBinary(schema, message),
  }),
  json: (procedures: readonly Procedure[]) => {
    const registry = createRegistry(...procedures.flatMap(({ input, output }) => [input, output]));
    return {
      read: <D extends DescMessage>(schema: D, bytes: Uint8Array) =>
        fromJsonString(schema, new TextDecoder().decode(bytes), { registry }),
      write: <D extends DescMessage>(schema: D, message: MessageShape<D>) =>
        toJsonString(schema, message, { registry }),
    };
  },
};
