const WARN = 40;

/** True for what people should see at once: warnings, errors, and whatever is no log line, such as a stack trace. */
export function deservesAttention(line: string): boolean {
  if (!line.startsWith("{")) return line.trim() !== "";
  try {
    const { level } = JSON.parse(line) as { level?: unknown };
    if (typeof level === "number") return level >= WARN;
    return !["trace", "debug", "info"].includes(String(level).toLowerCase());
  } catch {
    return true;
  }
}
