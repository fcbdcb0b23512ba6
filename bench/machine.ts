import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";

/** What a benchmark ran on, for people. */
export function machine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return (
    `${platform()} ${release()} ${arch()}, ${cpus().length} x ${cpus()[0]?.model}, ${memory}, ` +
    `Node ${process.version}`
  );
}

/** The load of the last minute, which should be close to nothing before a benchmark. */
export function load(): string {
  return (loadavg()[0] ?? 0).toFixed(2);
}
