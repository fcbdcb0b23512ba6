import { beside } from "./beside.ts";
import { type Load, putLoad } from "./load.ts";
import type { Peer } from "./peer.ts";

// Started by pair.ts: `child.ts server|client <file> <port>`, `child.ts beside <file> <port> <base file>`, or
// `child.ts costs`. Answers each message with one.
const [role, file, port, baseFile] = process.argv.slice(2);

// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit());
const tell = (message: unknown) => process.send?.(message);
const load = (of: string | undefined): Promise<Peer> => import(new URL(`../${of}.ts`, import.meta.url).href);

if (role === "costs") {
  const { inProcessCosts } = await import("./in-process.ts");
  tell(await inProcessCosts());
} else {
  const peer = await load(file);
  if (role === "server") {
    await peer.startServer(Number(port));
    process.on("message", () => tell(process.cpuUsage()));
  } else {
    const call = await peer.openClient(Number(port));
    const base = role === "beside" ? await (await load(baseFile)).openClient(Number(port)) : undefined;
    process.on("message", async (asked: Load) =>
      tell(base ? await beside(call, base, asked) : await putLoad(call, asked)),
    );
  }
  tell("ready");
}
