// Shows /asyncapi.json as it is: each event and command with its subject, who says it, who handles it, and what it holds.
const answer = await fetch("/asyncapi.json");
const asyncapi = await answer.json();
const operations = Object.values(asyncapi.operations);

/** An element of the page; texts stay texts, whatever is in them. */
function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

function rowsOf(entries) {
  const rows = entries.map(([name, value]) => element("tr", element("th", name), element("td", value)));
  return element("table", ...rows);
}

function resolved(part) {
  const path = part.$ref?.slice(2).split("/") ?? [];
  return part.$ref ? path.reduce((at, name) => at[name], asyncapi) : part;
}

/** What a field holds, in a word. */
function kindOf(schema) {
  const { type, items, title, format } = resolved(schema);
  if (type === "array") return `list of ${kindOf(items)}`;
  return title ?? format ?? type ?? "number";
}

function sectionOf([name, { address, title, description, ...channel }]) {
  const of = (action) =>
    operations
      .filter((each) => each.action === action && each.channel.$ref === `#/channels/${name}`)
      .map((each) => each.bindings?.nats.queue ?? each.tags[0].name)
      .join(", ");
  const { payload } = asyncapi.components.messages[name];
  const fields = Object.entries(resolved(payload).properties ?? {}).map(([field, schema]) => [
    field,
    `${kindOf(schema)}. ${schema.description ?? ""}`,
  ]);
  const section = element(
    "section",
    element("h2", title),
    element("p", description ?? ""),
    rowsOf([
      ["subject", element("code", address)],
      [channel["x-kind"] === "command" ? "sent by" : "published by", of("send")],
      ["handled by", of("receive")],
      ["key", channel["x-key"] ?? "none"],
      ["ordering", channel["x-ordering"]],
      ["stream", channel["x-jetstream"].stream],
    ]),
    element("h3", "What it holds"),
    rowsOf(fields),
  );
  section.id = name;
  return section;
}

const { title, version, description } = asyncapi.info;
document
  .querySelector("#events")
  .append(
    element("h1", `${title} ${version}`),
    element("p", description),
    ...Object.entries(asyncapi.channels).map(sectionOf),
  );
