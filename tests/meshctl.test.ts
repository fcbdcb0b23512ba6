import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { AuditService } from "../gen/shop/audit/v1/audit_service_pb.ts";
import { CustomerRegisteredSchema } from "../gen/shop/customer/v1/customer_event_pb.ts";
import { ReviewService } from "../gen/shop/review/v1/review_service_pb.ts";
import { newId } from "../mesh/core/ids.ts";
import { silentLog } from "../mesh/core/log.ts";
import { canPause } from "../mesh/events/pause-consumer.ts";
import { DEAD_LETTERS, ensureStream, REPLAYS } from "../mesh/events/streams.ts";
import { openNats } from "../mesh/nats/connection.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testBroker } from "../mesh/testing/broker.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { run } from "../meshctl/program.ts";
import { SERVICES } from "../meshctl/targets.ts";
import { startApp as startAudit } from "../services/audit/app.ts";
import { readSettings as readAuditSettings } from "../services/audit/config.ts";
import { startApp as startReview } from "../services/review/app.ts";
import { readSettings as readReviewSettings } from "../services/review/config.ts";

// Each test starts processes, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const ROOT = resolve(import.meta.dirname, "..");
const PROGRAM = resolve(ROOT, "meshctl/meshctl");
const NOBODY = "static:///127.0.0.1:1";

const audit = await testService({
  contract: AuditService,
  readSettings: readAuditSettings,
  start: startAudit,
  env: { MESH_OPERATOR_TOKEN: "secret" },
});
const review = await testService({
  contract: ReviewService,
  readSettings: readReviewSettings,
  start: startReview,
});
const { url } = await testBroker();
const nats = openNats({ url, name: "test", log: silentLog });
atEnd(() => nats.close());
const { connection } = await nats.online(new AbortController().signal);
const manager = await jetstreamManager(connection);
await ensureStream(manager, DEAD_LETTERS);

beforeEach(async () => {
  await manager.streams.purge(DEAD_LETTERS.name);
});

const TARGETS = Object.fromEntries(SERVICES.map((service) => [`${service.toUpperCase()}_TARGET`, NOBODY]));

/** Runs the program as an operator would. */
function meshctl(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const surroundings = {
    PATH: process.env.PATH,
    ...TARGETS,
    AUDIT_TARGET: audit.target,
    REVIEW_TARGET: review.target,
    MESH_OPERATOR_TOKEN: "secret",
    ...env,
  };
  return new Promise<{ stdout: string; stderr: string; exitCode: number }>((done) => {
    execFile(PROGRAM, [...args], { cwd: "/", env: surroundings }, (error, stdout, stderr) =>
      done({ stdout, stderr, exitCode: error ? Number(error.code ?? -1) : 0 }),
    );
  });
}

/** Buries a customer's registration, as a consumer of the customers would. Returns its number. */
async function bury(customerId: string, keySeq = 1): Promise<string> {
  const headers = natsHeaders();
  const said = {
    "ce-id": newId(),
    "ce-type": CustomerRegisteredSchema.typeName,
    "ce-partitionkey": customerId,
    "ce-keyseq": String(keySeq),
    "dlq-error-type": "TypeError",
    "dlq-error-message": "no%20such%20thing",
    "dlq-error-stack": Buffer.from("TypeError: no such thing\n  at here").toString("base64"),
    "dlq-attempts": "6",
    "dlq-dead-at": new Date().toISOString(),
    "dlq-orig-stream": "EVT_CUSTOMER",
  };
  for (const [name, value] of Object.entries(said)) headers.set(name, value);
  const event = create(CustomerRegisteredSchema, {
    customerId,
    email: "ada@example.com",
    displayName: "Ada",
  });
  const payload = toBinary(CustomerRegisteredSchema, event);
  const subject = "dlq.toy.customers.exhausted";
  return String((await jetstream(connection).publish(subject, payload, { headers })).seq);
}

async function lettersLeft(): Promise<number> {
  return (await manager.streams.info(DEAD_LETTERS.name)).state.messages;
}

describe("dlq", () => {
  test("is listed, counted and shown, for people and for programs", async () => {
    const seq = await bury("cust-1");
    await bury("cust-2");
    const { stdout } = await meshctl(["dlq", "ls"]);
    expect(stdout).toMatch(/^seq +dead at +consumer +reason +type +key +# +error$/m);
    expect(stdout).toMatch(
      new RegExp(`^${seq} .* toy__customers +exhausted +CustomerRegistered +cust-1 +1 +no such thing$`, "m"),
    );
    const listed = JSON.parse((await meshctl(["dlq", "ls", "--key", "cust-2", "--json"])).stdout);
    expect(listed.letters).toMatchObject([{ key: "cust-2", consumer: "toy__customers" }]);
    expect((await meshctl(["dlq", "ls", "--group-by", "reason"])).stdout).toMatch(/^exhausted +2 /m);

    const shown = (await meshctl(["dlq", "show", seq])).stdout;
    expect(shown).toContain("TypeError: no such thing\n  at here");
    expect(shown).toContain('"email": "***"');
    expect(shown).not.toContain("ada@example.com");
    expect(JSON.parse((await meshctl(["dlq", "show", seq, "--payload"])).stdout)).toEqual({
      customerId: "cust-1",
      email: "***",
      displayName: "***",
    });
    const { payload, content } = JSON.parse((await meshctl(["--json", "dlq", "show", seq])).stdout);
    expect(content ?? payload).toMatchObject({ customerId: "cust-1", email: "***" });
  });

  test("is replayed by number or by what letters have in common", async () => {
    const seq = await bury("cust-1");
    await bury("cust-2");
    await bury("cust-2", 2);
    const one = await meshctl(["dlq", "replay", seq, "--note", "mended"]);
    expect(one).toMatchObject({ stdout: "replayed 1 dead letter\n", exitCode: 0 });
    const dry = await meshctl(["dlq", "replay", "--key", "cust-2", "--dry-run"]);
    expect(dry).toMatchObject({ stdout: "would replay 2 dead letters\n", exitCode: 0 });
    expect(await lettersLeft()).toBe(2);
    const two = await meshctl([
      "dlq",
      "replay",
      "--key",
      "cust-2",
      "--since",
      "1h",
      "--rate",
      "1000/s",
      "--json",
    ]);
    expect(JSON.parse(two.stdout)).toMatchObject({ matched: "2", done: "2", isComplete: true });
    expect(await lettersLeft()).toBe(0);
    const sent = await manager.streams.getMessage(REPLAYS.name, { last_by_subj: "replay.toy.customers.>" });
    expect(sent?.header.get("replay-action")).toBe("retry");
  });

  test("what was done with it is listed: when, by whom, why, and what was asked for", async () => {
    const seq = await bury("cust-1");
    await bury("cust-2");
    await meshctl(["dlq", "replay", seq, "--as", "grace", "--note", "mended"]);
    await meshctl(["dlq", "discard", "--key", "cust-2", "--as", "grace", "--note", "test data"]);
    const { stdout } = await meshctl(["dlq", "log", "--by", "grace", "--since", "1h"]);
    const [heading, ...rows] = stdout.trim().split("\n");
    expect(heading).toMatch(/^at +by +action +seq +consumer +type +key +# +asked for +note$/);
    expect(rows).toEqual([
      expect.stringMatching(
        /^\S+Z +grace +discard +\d+ +toy__customers +CustomerRegistered +cust-2 +1 +key cust-2 \(1\) +test data$/,
      ),
      expect.stringMatching(
        new RegExp(`^\\S+Z +grace +replay +${seq} +.* +cust-1 +1 +numbers \\(1\\) +mended$`),
      ),
    ]);
    const few = await meshctl(["dlq", "log", "--by", "grace", "--limit", "1"]);
    expect(few.stderr).toBe("there are more; --limit shows more than 1\n");
    const { records } = JSON.parse(
      (await meshctl(["dlq", "log", "--key", "cust-2", "--limit", "1", "--json"])).stdout,
    );
    expect(records).toMatchObject([{ action: "discard", operator: "grace", letter: { key: "cust-2" } }]);
    expect((await meshctl(["dlq", "log", "--by", "nobody"])).stdout).toBe("nothing was done\n");
  });

  test("long work says how far it is, where that can be seen", async () => {
    for (const key of ["cust-1", "cust-2", "cust-3"]) await bury(key);
    let said = "";
    const stderr = { isTTY: true, write: (text: string) => (said += text) };
    let answered = "";
    const stdout = { write: (text: string) => (answered += text) };
    const env = { AUDIT_TARGET: audit.target, MESH_OPERATOR_TOKEN: "secret" };
    expect(await run(["dlq", "replay", "--consumer", "toy"], { env, user: "ada", stdout, stderr })).toBe(0);
    expect(said).toBe(`${[0, 1, 2, 3, 3].map((done) => `\rreplayed ${done} of 3`).join("")}\n`);
    expect(answered).toBe("replayed 3 dead letters\n");
  });

  test("all of it needs a second word, which says how many they are", async () => {
    await bury("cust-1");
    await bury("cust-2");
    const asked = await meshctl(["dlq", "discard", "--all", "--note", "test data"]);
    expect(asked).toMatchObject({ stdout: "", exitCode: 2 });
    expect(asked.stderr).toContain("this would discard 2 dead letters; add --yes to do it");
    expect(await lettersLeft()).toBe(2);
    const done = await meshctl(["dlq", "discard", "--all", "--yes", "--note", "test data"]);
    expect(done).toMatchObject({ stdout: "discarded 2 dead letters\n", exitCode: 0 });
    expect(await lettersLeft()).toBe(0);
  });

  test.each([
    ["no letters are said", ["dlq", "replay"], 2, "say which: numbers, or a filter such as --key, or --all"],
    ["too much is said", ["dlq", "replay", "1", "--all", "--yes"], 2, "one of them"],
    ["a discard has no reason", ["dlq", "discard", "1"], 2, "required option '--note <text>'"],
    ["a rate is none", ["dlq", "replay", "1", "--rate", "50/m"], 2, "how many a second, from 1 to 10000"],
    ["a time is none", ["dlq", "ls", "--since", "yesterday"], 2, "say how long ago (90s, 30m, 1h, 2d)"],
    ["a number is none", ["dlq", "show", "first"], 2, "the number that `dlq ls` shows"],
    ["a word is wrong", ["dlq", "list"], 2, "unknown command 'list'"],
    ["a filter is nonsense", ["dlq", "ls", "--consumer", "?"], 2, "filter.consumer:"],
    [
      "a letter is not there",
      ["dlq", "show", "999999"],
      1,
      "there is no dead letter 999999 (DEAD_LETTER_NOT_FOUND)",
    ],
    [
      "a letter to replay is not there",
      ["dlq", "replay", "999999"],
      1,
      "`meshctl dlq ls` shows those there are",
    ],
  ])("when %s, it says what to do", async (_, args, exitCode, text) => {
    const answer = await meshctl(args);
    expect(answer.stderr).toContain(text);
    expect(answer.exitCode).toBe(exitCode);
  });
});

test("events are listed, shown, and followed as they come", async () => {
  await review.sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', 'prod-1')`;
  const post = () => review.client.createReview({ customerId: "cust-ada", productId: "prod-1", rating: 4 });
  await post();
  const listed = await until(async () => {
    const { stdout } = await meshctl(["events", "ls", "--type", "ReviewPosted", "--key", "prod-1", "--json"]);
    return stdout.includes("eventId") && JSON.parse(stdout).events;
  });
  const shown = (await meshctl(["events", "show", listed[0].eventId])).stdout;
  expect(shown).toContain("shop.review.v1.ReviewPosted, key prod-1, number 1 of its key");
  expect(shown).toContain('"rating": 4');

  let isOver = false;
  const tailed = meshctl(["events", "tail", "--key", "prod-1", "--limit", "1"]);
  void tailed.then(() => {
    isOver = true;
  });
  // Nothing says from outside when it begins to follow.
  await until(async () => {
    await post();
    return isOver;
  });
  expect((await tailed).stdout).toMatch(/^\S+Z {2}ReviewPosted {2}prod-1 {2}\{.*"rating":4.*\}\n$/);
});

test("outboxes are shown, and their events published again", async () => {
  const productId = `prod-${newId()}`;
  await review.sql`INSERT INTO buyer (customer_id, product_id) VALUES ('cust-ada', ${productId})`;
  await review.client.createReview({ customerId: "cust-ada", productId, rating: 4 });
  const { stdout } = await meshctl(["outbox", "stats", "review"]);
  expect(stdout).toMatch(/^review +EVT_REVIEW +\d+ /m);
  const sent = await meshctl(["outbox", "resend", "review", "EVT_REVIEW", productId]);
  expect(sent).toMatchObject({ stdout: `1 event of ${productId} will be published again\n`, exitCode: 0 });
  const range = ["outbox", "republish", "review", "EVT_REVIEW", "--from", "1h", "--dry-run", "--json"];
  expect(Number(JSON.parse((await meshctl(range)).stdout).events)).toBeGreaterThan(0);
  const unknown = await meshctl(["outbox", "resend", "review", "EVT_NONE", "x"]);
  expect(unknown.exitCode).toBe(1);
  expect(unknown.stderr).toContain("STREAM_NOT_FOUND");
});

test("consumers show what they have still to do", async () => {
  await until(async () => {
    const info = await manager.consumers.info("EVT_REVIEW", "audit__reviews").catch(() => undefined);
    return info?.num_pending === 0 && info.num_ack_pending === 0;
  });
  const { stdout } = await meshctl(["consumers", "--service", "audit"]);
  expect(stdout).toMatch(/^audit__reviews +EVT_REVIEW +0 +0 +0 +0 +\d+$/m);
});

test("a consumer is paused and resumed, where the broker can do that", async () => {
  const version = connection.info?.version ?? "";
  const paused = await meshctl(["consumers", "pause", "audit__reviews", "--for", "10m"]);
  const resumed = await meshctl(["consumers", "resume", "audit__reviews"]);
  if (canPause(version)) {
    expect(paused.stdout).toMatch(/^audit__reviews is paused until \S+Z\n$/);
    expect(resumed.stdout).toBe("audit__reviews is not paused\n");
  } else {
    for (const { exitCode, stderr } of [paused, resumed]) {
      expect(exitCode).toBe(1);
      expect(stderr).toContain(`nats-server ${version} cannot pause consumers; 2.11 and later can`);
    }
  }
  expect((await meshctl(["consumers", "pause", "audit__reviews"])).exitCode).toBe(2);
  expect((await meshctl(["consumers", "pause", "audit__reviews", "--for", "long"])).exitCode).toBe(2);
});

test("health asks every instance, and ends with 1 if one is not well", async () => {
  const well = await meshctl(["health", "audit", "review"]);
  expect(well.exitCode).toBe(0);
  expect(well.stdout.match(/SERVING/g)).toHaveLength(2);
  const all = await meshctl(["health", "--json"]);
  expect(all.exitCode).toBe(1);
  const states = JSON.parse(all.stdout) as { service: string; status: string }[];
  expect(states.map(({ service }) => service).sort()).toEqual([...SERVICES].sort());
  expect(states.find(({ service }) => service === "order")?.status).toBe("UNREACHABLE");
  expect(all.stderr).toContain("ORDER_TARGET");
});

test("who cannot be reached, and who does not let us in, is said with what to do", async () => {
  const away = await meshctl(["dlq", "ls"], { AUDIT_TARGET: NOBODY });
  expect(away.exitCode).toBe(3);
  expect(away.stderr).toContain("no answer from audit at static:///127.0.0.1:1");
  expect(away.stderr).toContain("AUDIT_TARGET=static:///host:port");
  const stranger = await meshctl(["dlq", "ls"], { MESH_OPERATOR_TOKEN: "guess" });
  expect(stranger.exitCode).toBe(1);
  expect(stranger.stderr).toContain("Set MESH_OPERATOR_TOKEN");
  const nonsense = await meshctl(["dlq", "ls"], { AUDIT_TARGET: "audit" });
  expect(nonsense.exitCode).toBe(2);
  expect(nonsense.stderr).toContain(
    'AUDIT_TARGET must begin with static:///, dns:/// or nats:///, not "audit"',
  );
});

const COMMANDS = [
  ...[
    "dlq ls",
    "dlq show",
    "dlq log",
    "dlq replay",
    "dlq discard",
    "events ls",
    "events tail",
    "events show",
  ],
  ...["outbox stats", "outbox resend", "outbox republish", "consumers", "health"],
  ...["consumers pause", "consumers resume"],
];

test.each(COMMANDS)("%s has help with examples, and answers programs", async (command) => {
  let said = "";
  const output = { write: (text: string) => (said += text) };
  const surroundings = { env: {}, user: "ada", stdout: output, stderr: output };
  expect(await run([...command.split(" "), "--help"], surroundings)).toBe(0);
  expect(said).toContain(`Examples:\n  meshctl ${command}`);
  expect(said).toContain("--json");
});

test("bash completes commands and options", async () => {
  const { stdout: script } = await meshctl(["completion", "bash"]);
  const complete = (...words: readonly string[]) =>
    new Promise<string[]>((done, fail) => {
      const list = ["meshctl", ...words].map((word) => `'${word}'`).join(" ");
      const ask = `COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _meshctl; echo "\${COMPREPLY[@]}"`;
      execFile("bash", ["-c", `${script}\n${ask}`], (error, stdout) =>
        error ? fail(error) : done(stdout.trim().split(" ")),
      );
    });
  expect(await complete("")).toEqual(
    expect.arrayContaining(["dlq", "events", "outbox", "consumers", "health"]),
  );
  expect(await complete("dlq", "re")).toEqual(["replay"]);
  expect(await complete("dlq", "replay", "17", "--dr")).toEqual(["--dry-run"]);
  expect((await meshctl(["completion", "zsh"])).stdout).toMatch(/^autoload -U \+X bashcompinit/);
});

test("it knows every service of the shop", () => {
  const folders = readdirSync(resolve(ROOT, "services"), { withFileTypes: true });
  const services = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect([...SERVICES].sort()).toEqual(services.sort());
});
