import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { passedOn, startInstance } from "./instance.ts";
import { tempDir } from "./temp-dir.ts";

// Processes take their time to start, on a machine that may be busy with other tests.
const BOUND = 20_000;

test("of the caller's environment only what every process needs is passed on, and what is named", () => {
  const env = {
    PATH: "/bin",
    LC_ALL: "C",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318",
    LOG_LEVEL: "debug",
    PRODUCT_TRANSPORT: "connect",
    PAYMENT_TRANSPORT: "grpc",
    DATABASE_URL: "postgres://all",
    AWS_SECRET_ACCESS_KEY: "secret",
    HOMEPAGE: "no prefix of HOME",
    TZ: undefined,
  };
  expect(passedOn(env, ["PRODUCT_TRANSPORT"])).toEqual({
    PATH: "/bin",
    LC_ALL: "C",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318",
    LOG_LEVEL: "debug",
    PRODUCT_TRANSPORT: "connect",
  });
});

test("its lines go to its log unchanged, and its deaths and returns are told", async () => {
  const logDir = tempDir();
  const [said, lines, pids] = [[] as string[], [] as string[], [] as number[]];
  const instance = startInstance({
    service: "order",
    instance: "order-1",
    port: 1,
    command: [process.execPath, "-e", "setInterval(() => {}, 1000); console.log('{\"level\":30}')"],
    cwd: logDir,
    env: {},
    logDir,
    log: (line) => said.push(line),
    onLine: (line) => lines.push(line),
    onStart: (pid) => pids.push(pid),
  });
  onTestFinished(() => instance.stop(0));
  await vi.waitFor(() => expect(lines).toHaveLength(1), BOUND);
  instance.kill("SIGKILL");
  await vi.waitFor(() => expect(lines).toHaveLength(2), BOUND);
  expect(readFileSync(join(logDir, "order-1.log"), "utf8")).toBe('{"level":30}\n{"level":30}\n');
  expect(said).toEqual([
    "order-1 died (SIGKILL), starts again at once",
    `order-1 runs again (process ${instance.pid})`,
  ]);
  expect(pids).toEqual([expect.any(Number), instance.pid]);
});
