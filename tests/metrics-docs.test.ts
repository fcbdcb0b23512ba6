import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { INSTRUMENTS } from "../mesh/telemetry/instruments.ts";

const ROOT = resolve(import.meta.dirname, "..");
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

/** The names that `/metrics` may show, with the labels of each. */
const shown = new Map(
  Object.entries(INSTRUMENTS).flatMap(([name, { kind, attributes }]) => {
    const base = name.replaceAll(".", "_");
    const endings = { counter: ["_total"], gauge: [""], histogram: ["_bucket", "_count", "_sum"] }[kind];
    return endings.map((ending) => [`${base}${ending}`, attributes as readonly string[]] as const);
  }),
);

const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".md"))
  .map((file) => join("docs", file));

test.each(["README.md", ...docs])("every metric that %s names is one", (file) => {
  // What stands before a `*` or a quote of `grep` may be the beginning of several.
  const names = [...read(file).matchAll(/\bmesh_[a-z_]+\b/g)].map(([name]) => name);
  const wrong = names.filter((name) => ![...shown.keys()].some((each) => each.startsWith(name)));
  expect(wrong).toEqual([]);
});

const alerts = [...read("docs/events.md").matchAll(/^\| `([^`]*mesh_[^`]*)` \| ([^|]+) \|/gm)].map(
  ([, rule = "", how = ""]) => ({ rule, how }),
);

test("docs/events.md says what to alert on, in the names and labels of /metrics", () => {
  expect(alerts.length).toBeGreaterThan(10);
  for (const { rule, how } of alerts) {
    const [, name = ""] = /\b(mesh_\w+)/.exec(rule) ?? [];
    expect([...shown.keys()], rule).toContain(name);
    const labels = [...rule.matchAll(/by \(([a-z_, ]+)\)|(\w+)=~?"/g)].flatMap(([, by = "", label = ""]) =>
      label ? [label] : by.split(", "),
    );
    expect(shown.get(name), rule).toEqual(expect.arrayContaining(labels));
    expect(rule, rule).toMatch(/ (>|==|<) \d+$/);
    expect(how.trim(), rule).toMatch(/^(page|warn)$/);
  }
});

test("what the design asks to be woken for is there", () => {
  const paged = alerts.filter(({ how }) => how.trim() === "page").map(({ rule }) => rule);
  for (const name of ["mesh_outbox_broker_loss_total", "mesh_outbox_oldest_pending_age"])
    expect(paged.join("\n")).toContain(name);
});
