/** The settings as the process was given them. A parameter everywhere, so that tests need not touch the process. */
export type Env = Readonly<Record<string, string | undefined>>;

/** One setting: its name, how it is read, and what it is when absent. */
export interface Setting<T> {
  readonly name: string;
  /** Returns the value, or throws an Error whose message completes "NAME ...". */
  readonly parse: (raw: string) => T;
  /** What an absent setting means. Without it the setting is required. */
  readonly fallback?: T;
}

/** Every problem of the settings, in one error. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the settings have ${problems.length} problem(s):\n${problems.map((p) => `  - ${p}`).join("\n")}`);
    this.problems = problems;
  }
}

/** A text. Without a fallback it is required. */
export function text(name: string, fallback?: string): Setting<string> {
  return setting(name, (raw) => raw, fallback);
}

/** A whole number within bounds. */
export function integer(
  name: string,
  fallback?: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): Setting<number> {
  const parse = (raw: string) => {
    const value = Number(raw);
    if (!/^-?\d+$/.test(raw) || value < min || value > max) {
      throw new Error(`must be a whole number from ${min} to ${max}, not "${raw}"`);
    }
    return value;
  };
  return setting(name, parse, fallback);
}

/** A TCP port; 0 lets the system choose one. */
export function port(name: string, fallback?: number): Setting<number> {
  return integer(name, fallback, { max: 65_535 });
}

/** One of several words. */
export function choice<const T extends string>(name: string, words: readonly T[], fallback?: T): Setting<T> {
  const parse = (raw: string) => {
    const word = words.find((each) => each === raw);
    if (word === undefined) throw new Error(`must be one of ${words.join(", ")}, not "${raw}"`);
    return word;
  };
  return setting(name, parse, fallback);
}

/** A URL of one of the given schemes. Its text is never quoted in an error, because it may hold a password. */
export function url(name: string, schemes: readonly string[], fallback?: string): Setting<string> {
  const parse = (raw: string) => {
    if (!isUrlOf(raw, schemes)) {
      throw new Error(`must be a URL that begins with ${schemes.map((s) => `${s}://`).join(" or ")}`);
    }
    return raw;
  };
  return setting(name, parse, fallback);
}

/** One URL, or several with commas between them. */
export function urls(name: string, schemes: readonly string[], fallback?: string): Setting<string> {
  const parse = (raw: string) => {
    if (!raw.split(",").every((each) => isUrlOf(each, schemes))) {
      const beginnings = schemes.map((s) => `${s}://`).join(" or ");
      throw new Error(`must be URLs that begin with ${beginnings}, with commas between them`);
    }
    return raw;
  };
  return setting(name, parse, fallback);
}

function isUrlOf(raw: string, schemes: readonly string[]): boolean {
  return URL.canParse(raw) && schemes.includes(new URL(raw).protocol.slice(0, -1));
}

function setting<T>(name: string, parse: (raw: string) => T, fallback: T | undefined): Setting<T> {
  return fallback === undefined ? { name, parse } : { name, parse, fallback };
}

/** What {@link readConfig} makes of a table of settings. */
export type Config<S extends Record<string, Setting<unknown>>> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Reads every setting once. Throws one {@link ConfigError} that names all problems. An empty text counts as absent. */
export function readConfig<S extends Record<string, Setting<unknown>>>(settings: S, env: Env): Config<S> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, { name, parse, fallback }] of Object.entries(settings)) {
    const raw = env[name];
    if (raw === undefined || raw === "") {
      if (fallback === undefined) problems.push(`${name} is not set`);
      values[key] = fallback;
      continue;
    }
    try {
      values[key] = parse(raw);
    } catch (error) {
      problems.push(`${name} ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return values as Config<S>;
}
