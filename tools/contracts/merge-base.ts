import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The branches that a change is compared with, the first that exists. */
const trunks = ["origin/main", "main"];

/** The commit where the work began, or why there is none to compare with. */
export type MergeBase = { commit: string; trunk: string } | { missing: string };

/** The last commit that the checkout shares with its main branch. */
export async function mergeBase(checkout: string): Promise<MergeBase> {
  const repository = await git(checkout, "rev-parse", "--git-dir");
  if (!repository.ok) return { missing: `git refuses: ${repository.output}` };
  if (!(await exists(checkout, "HEAD"))) return { missing: "nothing is committed yet" };
  for (const trunk of trunks) {
    if (!(await exists(checkout, trunk))) continue;
    const base = await git(checkout, "merge-base", "HEAD", trunk);
    if (base.ok) return { commit: base.output, trunk };
    return {
      missing: `HEAD shares no commit with ${trunk}; in a shallow clone, run \`git fetch --unshallow\``,
    };
  }
  return { missing: `there is no branch ${trunks.join(" or ")}; run \`git fetch origin main:main\`` };
}

/**
 * Writes the contracts of a commit into a folder; false if it has none. The files are taken out instead of letting buf
 * read git, because buf refuses to compare two workspaces whose number of modules differs.
 */
export async function extractContracts(checkout: string, commit: string, dir: string): Promise<boolean> {
  const known = ["buf.yaml", "proto", "third_party", "tools/proto"];
  const there = await git(checkout, "ls-tree", "--name-only", commit, ...known);
  const paths = known.filter((path) => there.output.split("\n").includes(path));
  if (!paths.includes("buf.yaml") || !paths.includes("proto")) return false;
  const archive = join(dir, "contracts.tar");
  await run("git", ["archive", "--output", archive, commit, ...paths], { cwd: checkout });
  await run("tar", ["-xf", archive, "-C", dir]);
  return true;
}

/** The names of the files in a folder of a commit. */
export async function filesAt(checkout: string, commit: string, folder: string): Promise<string[]> {
  const { ok, output } = await git(checkout, "ls-tree", "--name-only", commit, `${folder}/`);
  return ok && output !== "" ? output.split("\n") : [];
}

async function exists(checkout: string, revision: string): Promise<boolean> {
  return (await git(checkout, "rev-parse", "--verify", revision)).ok;
}

async function git(checkout: string, ...args: string[]): Promise<{ ok: boolean; output: string }> {
  try {
    const { stdout } = await run("git", args, { cwd: checkout });
    return { ok: true, output: stdout.trim() };
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return { ok: false, output: (stderr || message).trim() };
  }
}
