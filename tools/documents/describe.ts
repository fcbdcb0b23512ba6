import type { AnyDesc, DescEnumValue, DescFile } from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";

/** What the contract says of something in a comment above it, as Markdown. Undefined if it says nothing. */
export function commentOf(desc: Exclude<AnyDesc, DescFile>): string | undefined {
  const { leading } = getComments(desc);
  const text = leading
    ?.split("\n")
    .map((line) => line.replace(/^ /, "").trimEnd())
    .join("\n")
    .trim();
  return text || undefined;
}

/** What a value of an enum means, in the words of its comment: its name begins them, and is `name` here. */
export function meaningOf(value: DescEnumValue, name: string): string {
  const comment = commentOf(value)?.replaceAll("\n", " ");
  if (!comment) return `\`${name}\``;
  return comment.startsWith(`${value.name} `)
    ? `\`${name}\` ${comment.slice(value.name.length + 1)}`
    : `\`${name}\`: ${comment}`;
}

/** Texts as paragraphs; undefined if there are none. */
export function paragraphs(...texts: readonly (string | undefined)[]): string | undefined {
  return texts.filter((text) => text).join("\n\n") || undefined;
}
