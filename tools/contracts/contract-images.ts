import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { type BufResult, buf } from "./buf.ts";
import { parseVersion, type Version } from "./release/version.ts";

/** The folder of the released images, within a checkout. */
export const released = join("contracts", "released");

/** The images of the contracts that were released, oldest first, as paths within the checkout. */
export function releasedImages(checkout: string): string[] {
  const dir = join(checkout, released);
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => name.endsWith(".binpb"))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .map((name) => join(released, name));
}

/** The version of a released image. */
export function versionOf(image: string): Version {
  return parseVersion(basename(image, ".binpb"));
}

/** The image that was released last, as a path within the checkout. */
export function latestImage(checkout: string): string | undefined {
  return releasedImages(checkout).at(-1);
}

/**
 * The images whose promises hold: those of the newest major. A major release is the one way to take something back, and
 * it takes back what the majors before it promised.
 */
export function promisedImages(checkout: string): string[] {
  const images = releasedImages(checkout);
  const newest = images.at(-1);
  return images.filter((image) => newest && versionOf(image).major === versionOf(newest).major);
}

/**
 * Builds the image of a checkout's contracts. Of `proto` only: an image of the whole workspace would hold the vendored
 * files as contracts of ours. Their imports are kept, because buf cannot compare an image without them.
 */
export async function buildImage(checkout: string, image: string): Promise<BufResult> {
  mkdirSync(join(image, ".."), { recursive: true });
  return buf(checkout, "build", "proto", "--exclude-source-info", "--output", image);
}

/** Compares a checkout's contracts with an image; not ok if an old client or an old event would break. */
export async function compareWithImage(checkout: string, image: string): Promise<BufResult> {
  return buf(checkout, "breaking", "proto", "--exclude-imports", "--against", image);
}
