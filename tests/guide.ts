/** A command of a guide, and what it says that one sees. */
export interface Step {
  readonly name: string;
  readonly command: string;
  readonly sees: readonly string[];
}

/** A guide's `sh` blocks in their order, each with the `text` block that belongs to it. */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  let section = "";
  for (const [, heading, language, block = ""] of markdown.matchAll(
    /^## ([^\n]*)$|^```(\w+)\n(.*?)^```/gms,
  )) {
    if (heading !== undefined) section = heading;
    else if (language === "sh") {
      steps.push({ name: `${section}, ${steps.length}: ${block.split("\n")[0]}`, command: block, sees: [] });
    } else if (language === "text") {
      const last = steps.pop();
      if (!last || last.sees.length > 0) throw new Error(`what is seen here, and of what? ${block}`);
      steps.push({ ...last, sees: block.trim().split("\n") });
    }
  }
  return steps;
}

/** Lines that all must be there in this order, others between them; `...` stands for anything, blanks for blanks. */
export function asPattern(lines: readonly string[]): RegExp {
  const line = (text: string) =>
    text
      .split(/\s*\.\.\.\s*/)
      .map((part) => part.split(/\s+/).map(RegExp.escape).join("\\s+"))
      .join(".*");
  return new RegExp(lines.map(line).join("[^]*"));
}
