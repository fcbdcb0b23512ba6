import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";
import { MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { DOCUMENTS } from "./document-info.ts";
import { openapi } from "./openapi.ts";

/** The plugin that writes `openapi.json`. */
const plugin = createEcmaScriptPlugin({
  name: "protoc-gen-openapi",
  version: "v1",
  generateTs({ files, allFiles, generateFile }) {
    const enums = allFiles.flatMap((file) => [...nestedTypes(file)]).filter((type) => type.kind === "enum");
    const meshErrors = enums.find(({ typeName }) => typeName === MeshErrorSchema.typeName);
    const document = openapi(DOCUMENTS, {
      services: files.flatMap(({ services }) => services),
      enums,
      ...(meshErrors && { meshErrors }),
    });
    if (document) generateFile("openapi.json").print(JSON.stringify(document, null, 2));
  },
});

runNodeJs(plugin);
