/** A semantic version without labels. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Reads "1.2.3" or "v1.2.3". Throws on anything else. */
export function parseVersion(text: string): Version {
  const [, major, minor, patch] = /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.exec(text) ?? [];
  if (major === undefined) throw new Error(`"${text}" is no version: three numbers are, such as 1.2.3`);
  return { major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** As it is written: "1.2.3". */
export function textOf({ major, minor, patch }: Version): string {
  return `${major}.${minor}.${patch}`;
}

/** Negative if the first comes before the second, 0 if they are the same. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** The version after a change of this much. Below 1.0.0 too, a breaking change is a new major: 0 promises as much as 1. */
export function next(version: Version, level: "major" | "minor" | "patch" | "none"): Version {
  const { major, minor, patch } = version;
  if (level === "major") return { major: major + 1, minor: 0, patch: 0 };
  if (level === "minor") return { major, minor: minor + 1, patch: 0 };
  return level === "patch" ? { major, minor, patch: patch + 1 } : version;
}
