import { existsSync, type FSWatcher, watch } from "node:fs";
import { basename, join } from "node:path";

const SETTLE_MS = 100;
const IGNORED = /^\.|~$|\.test\.ts$|\.sw.$/;

/** Calls back with one changed file once changes below the folders have settled, until it is closed. Tests do not count. */
export function watchFolders(dirs: readonly string[], onChange: (file: string) => void): { close(): void } {
  let settled: NodeJS.Timeout | undefined;
  const watchers: FSWatcher[] = dirs.filter(existsSync).map((dir) =>
    watch(dir, { recursive: true }, (_event, file) => {
      if (file === null || IGNORED.test(basename(file))) return;
      clearTimeout(settled);
      settled = setTimeout(() => onChange(join(dir, file)), SETTLE_MS);
    }),
  );
  return {
    close() {
      clearTimeout(settled);
      for (const watcher of watchers) watcher.close();
    },
  };
}
