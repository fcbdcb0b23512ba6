import { enableCompileCache } from "node:module";
import { buffer } from "node:stream/consumers";

// buf starts this some twenty times for one command, so what was compiled once is kept.
enableCompileCache();
const { answerPlugin } = await import("./plugin-rpc.ts");
const { procedures } = await import("./check-service.ts");

const stdin = async () => new Uint8Array(await buffer(process.stdin));
process.stdout.write(await answerPlugin(procedures, process.argv.slice(2), stdin));
