import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** Where a process leaves its CPU profile, and under which name. */
export interface Profile {
  readonly dir: string;
  readonly name: string;
}

// Far longer than anything that is asked of a process, so that one that hangs ends its measurement and not the run.
const ANSWERS_WITHIN_MS = 120_000;

/** Starts a process that answers each message with one. It says by its first that it is ready: see {@link answerOf}. */
export function startChild(
  file: string,
  args: readonly string[],
  { profile, execArgv = [] }: { profile?: Profile | undefined; execArgv?: readonly string[] } = {},
): ChildProcess {
  const profiling = profile
    ? ["--cpu-prof", `--cpu-prof-dir=${profile.dir}`, `--cpu-prof-name=${profile.name}.cpuprofile`]
    : [];
  return fork(file, args, { execArgv: [...execArgv, ...profiling] });
}

/** Sends a message and resolves with what is answered. */
export function ask(child: ChildProcess, message: object | string): Promise<unknown> {
  const answer = answerOf(child);
  // One that cannot be told anything has ended, of which the answer tells.
  child.send(message, () => {});
  return answer;
}

/** The next message. Rejects if the process ends before or has ended, or says nothing for two minutes and is killed for it. */
export async function answerOf(child: ChildProcess): Promise<unknown> {
  const name = child.spawnargs.slice(-3).join(" ");
  if (hasEnded(child)) throw new Error(`${name} has ended`);
  const gone = new AbortController();
  const died = once(child, "exit", { signal: gone.signal }).then(([code, signal]) => {
    throw new Error(signal ? `${name} was ended by ${signal}` : `${name} ended with ${code}`);
  });
  const hangs = setTimeout(() => child.kill("SIGKILL"), ANSWERS_WITHIN_MS);
  try {
    const [answer] = await Promise.race([once(child, "message", { signal: gone.signal }), died]);
    return answer;
  } finally {
    clearTimeout(hangs);
    died.catch(() => {});
    gone.abort();
  }
}

/** Lets the process go and waits for its end. Safe to call twice. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  if (child.connected) child.disconnect();
  await ended;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
