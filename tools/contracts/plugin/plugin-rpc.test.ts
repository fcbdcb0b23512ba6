import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, DurationSchema, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { RequestSchema, ResponseSchema, SpecSchema } from "../../../gen/pluginrpc/v1/pluginrpc_pb.ts";
import { answerPlugin, procedure } from "./plugin-rpc.ts";

const PATH = "/toy.v1.ToyService/Shout";
const shout = procedure({
  path: PATH,
  input: StringValueSchema,
  output: StringValueSchema,
  answer: ({ value }) => {
    if (value === "") throw new Error("nothing to shout");
    return create(StringValueSchema, { value: value.toUpperCase() });
  },
});
const silence = async () => new Uint8Array();
const asks = (value: string) => async () =>
  toBinary(
    RequestSchema,
    create(RequestSchema, { value: anyPack(StringValueSchema, create(StringValueSchema, { value })) }),
  );
const ask = async (args: string[], stdin = silence) => answerPlugin([shout], args, stdin);

test("it says which protocol it speaks", async () => {
  expect(await ask(["--protocol"])).toBe("1\n");
});

test("it says what can be called, in binary and in JSON", async () => {
  const binary = await ask(["--spec", "--format", "binary"]);
  expect(fromBinary(SpecSchema, binary as Uint8Array).procedures).toMatchObject([{ path: PATH }]);
  expect(JSON.parse((await ask(["--spec", "--format", "json"])) as string)).toEqual({
    procedures: [{ path: PATH }],
  });
});

test("a procedure answers", async () => {
  const { value, error } = fromBinary(
    ResponseSchema,
    (await ask([PATH, "--format", "binary"], asks("hey"))) as Uint8Array,
  );
  expect(error).toBeUndefined();
  expect(value && anyUnpack(value, StringValueSchema)).toMatchObject({ value: "HEY" });
});

test("a procedure that fails is an answer, and so is an empty request", async () => {
  const { error } = fromBinary(ResponseSchema, (await ask([PATH])) as Uint8Array);
  expect(error).toMatchObject({ code: 13, message: "nothing to shout" });
});

test("it speaks JSON", async () => {
  const request = JSON.stringify({
    value: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "hey" },
  });
  const answer = await ask([PATH, "--format", "json"], async () => new TextEncoder().encode(request));
  expect(JSON.parse(answer as string)).toEqual({
    value: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "HEY" },
  });
});

test("a request of another type is refused", async () => {
  const request = toBinary(
    RequestSchema,
    create(RequestSchema, { value: anyPack(DurationSchema, create(DurationSchema)) }),
  );
  const { error } = fromBinary(ResponseSchema, (await ask([PATH], async () => request)) as Uint8Array);
  expect(error?.message).toContain(
    "wants google.protobuf.StringValue, not type.googleapis.com/google.protobuf.Duration",
  );
});

test("what is not in the protocol is an error of the caller", async () => {
  await expect(ask(["/toy.v1.ToyService/Whisper"])).rejects.toThrow(
    "there is no procedure /toy.v1.ToyService/Whisper",
  );
  await expect(ask(["--spec", "--format", "xml"])).rejects.toThrow("--format is binary or json, not xml");
});
