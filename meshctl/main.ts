import { userInfo } from "node:os";
import { run } from "./program.ts";

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  user: userInfo().username,
  stdout: process.stdout,
  stderr: process.stderr,
});
