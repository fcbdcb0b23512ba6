import { runUntilStopped } from "../../mesh/core/process.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

await runUntilStopped("gateway", async () => startApp(readSettings(process.env)));
