import { closeSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

const MAX_BYTES = 32 * 1024 * 1024;

/** A log file that begins empty and never fills the disk. */
export interface LogFile {
  write(line: string): void;
  close(): void;
}

/** Opens the log. Past `maxBytes` what it holds moves to `<path>.old`, in place of what was there, and it begins anew. */
export function openLogFile(path: string, maxBytes = MAX_BYTES): LogFile {
  mkdirSync(dirname(path), { recursive: true });
  let fd: number | undefined = openSync(path, "w", 0o600);
  let bytes = 0;
  return {
    write(line) {
      if (fd === undefined) return;
      if (bytes > maxBytes) {
        closeSync(fd);
        renameSync(path, `${path}.old`);
        fd = openSync(path, "w", 0o600);
        bytes = 0;
      }
      bytes += writeSync(fd, `${line}\n`);
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
