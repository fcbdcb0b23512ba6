import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { findOnPath } from "./executables.ts";
import { findNatsServer, findOldestNatsServer, startNats } from "./nats-server.ts";
import { freePort } from "./ports.ts";
import { isRunning, stopProcess } from "./processes.ts";
import { tempDir } from "./temp-dir.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A program that is a shell script. */
function script(dir: string, name: string, body: string): string {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

const versionOf = (version: string) => `echo nats-server: v${version}`;

describe("finding it", () => {
  let sh: string;
  let tools: string[];
  beforeAll(async () => {
    const needed = ["sh", "env", "mkdir", "cp", "chmod"];
    tools = await Promise.all(needed.map(async (name) => (await findOnPath(name)) as string));
    sh = tools[0] as string;
  });

  /** A PATH that leads to the shell's simplest tools and to these scripts only. */
  function onPath(scripts: Record<string, string>): string {
    const dir = join(tempDir(), "bin");
    mkdirSync(dir);
    for (const tool of tools) symlinkSync(tool, join(dir, tool.slice(tool.lastIndexOf("/") + 1)));
    for (const [name, body] of Object.entries(scripts)) script(dir, name, body.replaceAll("SH", sh));
    vi.stubEnv("PATH", dir);
    onTestFinished(() => void vi.unstubAllEnvs());
    return dir;
  }

  const find = async (toolsDir = join(tempDir(), "tools")) => {
    const said: string[] = [];
    const found = await findNatsServer({ toolsDir, log: (line) => said.push(line) });
    return { found, said, toolsDir };
  };

  test("one on PATH that is new enough is taken", async () => {
    for (const version of ["2.9.10", "2.10.0", "3.0.0"]) {
      const dir = onPath({ "nats-server": versionOf(version) });
      expect((await find()).found).toBe(join(dir, "nats-server"));
    }
  });

  test("one on PATH that is too old is passed over, with a word", async () => {
    onPath({ "nats-server": versionOf("2.9.9") });
    const toolsDir = join(tempDir(), "tools");
    const own = script(toolsDir, "nats-server", versionOf("2.14.5"));
    const { found, said } = await find(toolsDir);
    expect(found).toBe(own);
    expect(said[0]).toMatch(/2\.9\.9, older than 2\.9\.10/);
  });

  test("it is built with Go where Go is, and the words of Go are passed on", async () => {
    onPath({
      go: `[ "$1" = install ] && echo "go: downloading $2" >&2 && printf '#!SH\\n${versionOf("2.14.5")}\\n' > "$GOBIN/nats-server" && chmod +x "$GOBIN/nats-server"`,
    });
    const { found, said, toolsDir } = await find();
    expect(found).toBe(join(toolsDir, "nats-server"));
    expect(said[0]).toContain("about a minute");
    expect(said[1]).toMatch(/go: downloading github\.com\/nats-io\/nats-server\/v2@v2\./);
  });

  test("without Go it comes out of Debian's package", async () => {
    onPath({
      "apt-get": `[ "$*" = "download nats-server" ] && echo > nats-server_2.9.10_amd64.deb`,
      dpkg: `[ "$1" = -x ] && mkdir -p usr/sbin && printf '#!SH\\n${versionOf("2.9.10")}\\n' > usr/sbin/nats-server && chmod +x usr/sbin/nats-server`,
    });
    const { found, toolsDir } = await find();
    expect(found).toBe(join(toolsDir, "nats-server"));
  });

  test("the oldest that will do comes out of Debian's package, and else is built with Go; it stays beside the other", async () => {
    const dpkg = (version: string) =>
      `[ "$1" = -x ] && mkdir -p usr/sbin && printf '#!SH\\n${versionOf(version)}\\n' > usr/sbin/nats-server && chmod +x usr/sbin/nats-server`;
    const scripts = {
      "apt-get": "echo > nats-server.deb",
      go: `[ "$2" = github.com/nats-io/nats-server/v2@v2.9.10 ] && printf '#!SH\\n${versionOf("2.9.10")}\\n' > "$GOBIN/nats-server" && chmod +x "$GOBIN/nats-server"`,
    };
    for (const packaged of ["2.9.10", "2.10.27"]) {
      onPath({ ...scripts, dpkg: dpkg(packaged) });
      const toolsDir = join(tempDir(), "tools");
      const found = await findOldestNatsServer({ toolsDir, log: () => {} });
      expect(found).toBe(join(toolsDir, "nats-server-2.9.10"));
      expect(readFileSync(found, "utf8")).toContain("v2.9.10");
    }
  });

  test("if nothing works, one error says what was tried and what to do", async () => {
    onPath({ go: "echo 'no network' >&2; exit 1", "apt-get": "exit 100" });
    const failed = expect(find()).rejects;
    await failed.toThrow(/go install .* failed: no network; apt-get download nats-server failed.*NATS_URL/);
    onPath({});
    await expect(find()).rejects.toThrow(/Go is not on PATH; apt-get is not on PATH/);
  });
});

describe("running it", () => {
  let binary: string;
  beforeAll(async () => {
    binary = await findNatsServer({
      toolsDir: resolve(import.meta.dirname, "../../.tools"),
      log: console.log,
    });
  }, 300_000);

  async function start({ dataDir = join(tempDir(), "nats"), port = 0 } = {}) {
    const said: string[] = [];
    const server = await startNats({
      binary,
      dataDir,
      port: port || (await freePort()),
      log: (line) => said.push(line),
    });
    onTestFinished(() => server.stop(0));
    return { server, dataDir, said };
  }

  async function withClient<T>(
    url: string,
    use: (client: Awaited<ReturnType<typeof connect>>) => Promise<T>,
  ): Promise<T> {
    const client = await connect({ servers: url });
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  }

  const keep = (url: string) =>
    withClient(url, async (client) => {
      await (await jetstreamManager(client)).streams.add({ name: "KEPT", subjects: ["kept.>"] });
      await jetstream(client).publish("kept.one", "1");
    });
  const kept = (url: string) =>
    withClient(
      url,
      async (client) => (await (await jetstreamManager(client)).streams.info("KEPT")).state.messages,
    );

  test("it serves JetStream on 127.0.0.1 only", async () => {
    const { server } = await start();
    await keep(server.url);
    expect(await kept(server.url)).toBe(1);
    const host = await withClient(server.url, async (client) => client.info?.host);
    expect(host).toBe("127.0.0.1");
  });

  test("streams outlive a stop, and nothing runs in between", async () => {
    const { server, dataDir } = await start();
    const pid = server.pid as number;
    await keep(server.url);
    await server.stop();
    expect(isRunning(pid)).toBe(false);
    const { server: again, said } = await start({ dataDir });
    expect(await kept(again.url)).toBe(1);
    expect(said).toEqual([]);
  });

  test("killed it comes back by itself, with its streams", async () => {
    const { server, said } = await start();
    await keep(server.url);
    const killed = server.pid;
    server.kill("SIGKILL");
    await vi.waitFor(() => expect(server.pid).not.toBe(killed), 5000);
    await vi.waitFor(async () => expect(await kept(server.url)).toBe(1), { timeout: 15_000, interval: 50 });
    expect(said).toEqual(["NATS died (SIGKILL), starts again at once"]);
  });

  test("it can be stopped for a while and started again", async () => {
    const { server } = await start();
    await keep(server.url);
    await server.stop();
    await expect(connect({ servers: server.url, reconnect: false, timeout: 500 })).rejects.toThrow();
    await server.start();
    expect(await kept(server.url)).toBe(1);
  });

  test("what a killed run left running is stopped first, and its streams are kept", async () => {
    const dataDir = join(tempDir(), "nats");
    const port = await freePort();
    const run = join(tempDir(), "run.ts");
    writeFileSync(
      run,
      `import { startNats } from ${JSON.stringify(join(import.meta.dirname, "nats-server.ts"))};
       const options = ${JSON.stringify({ binary, dataDir, port })};
       console.log("pid", (await startNats({ ...options, log() {} })).pid);`,
    );
    const killed = spawn(process.execPath, [run], { stdio: ["ignore", "pipe", "inherit"] });
    const leftOver = Number(/pid (\d+)/.exec(String((await once(killed.stdout, "data"))[0]))?.[1]);
    onTestFinished(() => stopProcess(leftOver, ["SIGTERM"], 1000));
    killed.kill("SIGKILL");
    await once(killed, "close");
    await keep(`nats://127.0.0.1:${port}`);

    const { server, said } = await start({ dataDir, port });
    expect(isRunning(leftOver)).toBe(false);
    expect(said).toEqual([`NATS: stopping process ${leftOver}, left behind by an earlier run`]);
    expect(await kept(server.url)).toBe(1);
  });

  test("a pid file that names another process is no reason to stop that", async () => {
    const dataDir = join(tempDir(), "nats");
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    onTestFinished(() => void other.kill("SIGKILL"));
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, "nats-server.pid"), String(other.pid));
    const { server } = await start({ dataDir });
    expect(isRunning(other.pid as number)).toBe(true);
    expect(readFileSync(join(dataDir, "nats-server.pid"), "utf8")).toBe(String(server.pid));
  });

  test("a taken port is told with its holder, before anything is started", async () => {
    const port = await freePort();
    const holder = createServer().listen(port, "127.0.0.1");
    await once(holder, "listening");
    onTestFinished(() => void holder.close());
    const dataDir = join(tempDir(), "nats");
    await expect(start({ port, dataDir })).rejects.toThrow(
      new RegExp(`port ${port} \\(NATS\\) is taken by process ${process.pid} .*NATS_URL`),
    );
    expect(existsSync(join(dataDir, "jetstream"))).toBe(false);
  });

  test("a server that cannot start is quoted", async () => {
    const dataDir = tempDir();
    writeFileSync(join(dataDir, "jetstream"), "in the way");
    await expect(start({ dataDir })).rejects.toThrow(/NATS does not stay up[\s\S]*\[FTL\]/);
  });
});
