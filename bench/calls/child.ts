import { inProcessCosts } from "./in-process.ts";
import { type Load, putLoad } from "./load.ts";
import type { Call, Peer } from "./peer.ts";

// Started by pair.ts: `child.ts server|client <file> <port>`, or `child.ts costs`. Answers each message with one.
const [role, file, port] = process.argv.slice(2);

// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit());
const tell = (message: unknown) => process.send?.(message);

if (role === "costs") {
  tell(await inProcessCosts());
} else {
  const peer: Peer = await import(new URL(`../${file}.ts`, import.meta.url).href);
  if (role === "server") {
    await peer.startServer(Number(port));
    process.on("message", () => tell(process.cpuUsage()));
  } else {
    const call: Call = await peer.openClient(Number(port));
    process.on("message", async (load: Load) => tell(await putLoad(call, load)));
  }
  tell("ready");
}
