import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";
import { asyncapi } from "./asyncapi.ts";
import { DOCUMENTS } from "./document-info.ts";

/** The plugin that writes `asyncapi.json`. */
const plugin = createEcmaScriptPlugin({
  name: "protoc-gen-asyncapi",
  version: "v1",
  generateTs({ files, generateFile }) {
    const document = asyncapi(DOCUMENTS, {
      services: files.flatMap(({ services }) => services),
      messages: files.flatMap(({ messages }) => messages),
    });
    if (document) generateFile("asyncapi.json").print(JSON.stringify(document, null, 2));
  },
});

runNodeJs(plugin);
