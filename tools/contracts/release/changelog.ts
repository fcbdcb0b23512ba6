import type { Proposal } from "./propose.ts";
import { textOf, type Version } from "./version.ts";

const HEADING = "## [Unreleased]";

/** The changelog after a release: what was unreleased becomes its section, with a line about the contracts. */
export function releaseChangelog(text: string, version: Version, date: string, line: string): string {
  const title = `## [${textOf(version)}] - ${date}`;
  if (!text.includes(`\n${HEADING}\n`)) {
    const first = text.indexOf("\n## [");
    const at = first === -1 ? text.length : first + 1;
    return `${text.slice(0, at)}${title}\n\n### Added\n${line}\n\n${text.slice(at)}`;
  }
  const from = text.indexOf(`${HEADING}\n`);
  const after = text.indexOf("\n## [", from);
  const end = after === -1 ? text.length : after + 1;
  const section = text.slice(from + HEADING.length, end);
  return `${text.slice(0, from)}${title}${withLine(section, line)}${text.slice(end)}`;
}

/** What the changelog says of a release's contracts. */
export function contractLine(version: Version, { level, added }: Proposal): string {
  const news = [...added].map(([kind, count]) => `${count} ${count === 1 ? kind : plural(kind)}`);
  const what = news.length === 0 ? "nothing new to call" : `new: ${news.join(", ")}`;
  return `- **contracts**: \`contracts/released/v${textOf(version)}.binpb\` (${level}; ${what}).`;
}

function plural(word: string): string {
  return `${word}s`;
}

/** At the end of what was added, which comes first if nothing was. */
function withLine(section: string, line: string): string {
  const added = section.indexOf("\n### Added\n");
  if (added === -1) return `\n\n### Added\n${[line, section.trim()].filter(Boolean).join("\n\n")}\n`;
  const next = section.indexOf("\n### ", added + 1);
  const end = next === -1 ? section.length : next;
  return `${section.slice(0, end).trimEnd()}\n${line}\n${section.slice(end) || "\n"}`;
}
