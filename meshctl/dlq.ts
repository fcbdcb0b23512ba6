import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import {
  CountDeadLettersResponseSchema,
  type DeadLetter,
  DeadLetterGroup,
  type DeadLetterProgress,
  DeadLetterProgressSchema,
  type DeadLetterRecord,
  type DeadLetterSelectionSchema,
  DeadLetterService,
  GetDeadLetterResponseSchema,
  ListDeadLetterRecordsResponseSchema,
  ListDeadLettersResponseSchema,
} from "../gen/mesh/admin/v1/dead_letter_pb.ts";
import { parseCount, parseRate, parseSeq, parseTime } from "./arguments.ts";
import { BadNews, UsageError } from "./failure.ts";
import type { Session } from "./session.ts";
import { examples, lastPart, shortened, shownPayload } from "./words.ts";

interface FilterOptions {
  readonly consumer?: string;
  readonly reason?: string;
  readonly type?: string;
  readonly key?: string;
  readonly since?: Date;
}

interface SettleOptions extends FilterOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly rate: number;
  readonly dryRun?: boolean;
  readonly note?: string;
  readonly as: string;
}

interface LogOptions {
  readonly action?: string;
  readonly by?: string;
  readonly consumer?: string;
  readonly key?: string;
  readonly since?: Date;
  readonly limit: number;
}

const GROUPS = {
  consumer: DeadLetterGroup.CONSUMER,
  reason: DeadLetterGroup.REASON,
  type: DeadLetterGroup.TYPE,
  error: DeadLetterGroup.ERROR,
  key: DeadLetterGroup.KEY,
} as const;

/** Adds `dlq`: what consumers gave up, and what to do with it. */
export function addDeadLetters(program: Command, session: Session): void {
  const dlq = program.command("dlq").description("dead letters: messages that a consumer gave up");

  withFilter(dlq.command("ls"))
    .description("list dead letters, the oldest first, or count them")
    .addOption(new Option("--group-by <what>", "count them by this").choices(Object.keys(GROUPS)))
    .option("--limit <n>", "how many at most", parseCount(1), 50)
    .addHelpText("after", examples("dlq ls --since 1h", "dlq ls --group-by reason --consumer notification"))
    .action(
      ({ groupBy, limit, ...filter }: FilterOptions & { groupBy?: keyof typeof GROUPS; limit: number }) =>
        groupBy ? count(session, filter, groupBy) : list(session, filter, limit),
    );

  dlq
    .command("show")
    .argument("<seq>", "its number, as `dlq ls` shows it", parseSeq)
    .description("show one dead letter: what it is, why it died, what it says")
    .option("--payload", "only what it says")
    .addHelpText("after", examples("dlq show 17", "dlq show 17 --payload | jq .lines", "dlq show 17 --json"))
    .action(([seq]: readonly bigint[], { payload }: { payload?: true }) => show(session, seq ?? 0n, payload));

  dlq
    .command("log")
    .description("list what was done with dead letters, the latest first: when, by whom, why")
    .addOption(new Option("--action <what>", "only this").choices(["replay", "discard"]))
    .option("--by <name>", "done by this operator")
    .option(
      "--consumer <name>",
      "with letters of this consumer (notification__orders) or service (notification)",
    )
    .option("--key <key>", "with letters of this key, such as an order's id")
    .option("--since <when>", "not before this (1h, 2026-01-31T12:00Z)", (text) => parseTime(text))
    .option("--limit <n>", "how many at most", parseCount(1), 50)
    .addHelpText("after", examples("dlq log --since 1d", "dlq log --action discard --by ada --json"))
    .action((options: LogOptions) => log(session, options));

  const settling = {
    replay: "send dead letters to the consumer that failed at them, and to no other",
    discard: "give dead letters up: their consumer goes past them",
  } as const;
  for (const action of ["replay", "discard"] as const) {
    const command = withFilter(dlq.command(action).argument("[seq...]", "their numbers", parseSeq))
      .description(settling[action])
      .option("--all", "every dead letter; needs --yes")
      .option("--yes", "do it")
      .option("--rate <n>", "how many a second at most (50, 50/s)", parseRate, 50)
      .option("--dry-run", "only say how many they are")
      .option("--as <name>", "who asks", session.user)
      .addHelpText(
        "after",
        examples(
          ...(action === "replay"
            ? [
                "dlq replay 17",
                "dlq replay --consumer notification__orders --since 1h --rate 10",
                "dlq replay --all --yes",
              ]
            : [
                'dlq discard 17 --note "test data"',
                'dlq discard --type OrderPlaced --note "sent twice" --dry-run',
              ]),
        ),
      )
      .action((seqs: readonly bigint[], options: SettleOptions) => settle(session, action, seqs, options));
    if (action === "replay") command.option("--note <text>", "why; it is written down");
    else command.requiredOption("--note <text>", "why; it is written down");
  }
}

function withFilter(command: Command): Command {
  return command
    .option("--consumer <name>", "of this consumer (notification__orders) or service (notification)")
    .option(
      "--reason <reason>",
      "given up for this: exhausted, permanent, undecodable, expired, blocked, ...",
    )
    .option("--type <type>", "of this type: its full name or the last part (OrderPlaced)")
    .option("--key <key>", "of this key, such as an order's id")
    .option("--since <when>", "given up since (1h, 2026-01-31T12:00Z)", (text) => parseTime(text));
}

function toFilter({ consumer = "", reason = "", type = "", key = "", since }: FilterOptions) {
  return { consumer, reason, type, key, ...(since && { since: timestampFromDate(since) }) };
}

async function list(session: Session, options: FilterOptions, limit: number): Promise<void> {
  const client = session.client(DeadLetterService);
  const filter = toFilter(options);
  const letters: DeadLetter[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(limit - letters.length, 100);
    const page = await client.listDeadLetters({ filter, pageSize, pageToken });
    letters.push(...page.letters);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && letters.length < limit);

  const answer = create(ListDeadLettersResponseSchema, { letters, nextPageToken: pageToken });
  session.answer(ListDeadLettersResponseSchema, answer, () => {
    const heading = ["seq", "dead at", "consumer", "reason", "type", "key", "#", "error"];
    const rows = letters.map((letter) => [
      String(letter.seq),
      timeOf(letter),
      letter.consumer,
      letter.reason,
      lastPart(letter.type),
      letter.key,
      String(letter.keySeq),
      shortened(letter.errorMessage),
    ]);
    session.table(heading, rows, "no dead letters");
    if (pageToken !== "") session.remark(`there are more; --limit shows more than ${limit}`);
  });
}

async function count(session: Session, options: FilterOptions, by: keyof typeof GROUPS): Promise<void> {
  const client = session.client(DeadLetterService);
  const answer = await client.countDeadLetters({ filter: toFilter(options), groupBy: GROUPS[by] });
  session.answer(CountDeadLettersResponseSchema, answer, () => {
    const rows = answer.counts.map(({ value, count, firstTime }) => [
      value,
      String(count),
      firstTime ? timestampDate(firstTime).toISOString() : "",
    ]);
    session.table([by, "letters", "first dead at"], rows, "no dead letters");
    if (rows.length > 0) session.say(`${answer.total} in all`);
  });
}

async function show(session: Session, seq: bigint, isPayloadOnly = false): Promise<void> {
  const answer = await session.client(DeadLetterService).getDeadLetter({ seq });
  if (isPayloadOnly) return session.say(shownPayload(answer.payload));
  session.answer(GetDeadLetterResponseSchema, answer, () => {
    const { letter, headers, payload, errorStack } = answer;
    if (!letter) return;
    session.say(
      `${letter.type || "a message of no type"}, key ${letter.key || "-"}, number ${letter.keySeq} of its key`,
    );
    session.say(
      `given up by ${letter.consumer} at ${timeOf(letter)}: ${letter.reason}, after ${letter.attempts} attempts`,
    );
    session.say(`\n${errorStack || `${letter.errorType}: ${letter.errorMessage}`}`);
    session.say(`\npayload\n${shownPayload(payload)}`);
    const shown = Object.entries(headers).filter(([name]) => name !== "dlq-error-stack");
    session.say(`\nheaders\n${shown.map(([name, value]) => `  ${name}: ${value}`).join("\n")}`);
  });
}

async function log(
  session: Session,
  { action = "", by: operator = "", consumer = "", key = "", since, limit }: LogOptions,
): Promise<void> {
  const client = session.client(DeadLetterService);
  const filter = { action, operator, consumer, key, ...(since && { since: timestampFromDate(since) }) };
  const records: DeadLetterRecord[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(limit - records.length, 100);
    const page = await client.listDeadLetterRecords({ ...filter, pageSize, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && records.length < limit);

  const answer = create(ListDeadLetterRecordsResponseSchema, { records, nextPageToken: pageToken });
  session.answer(ListDeadLetterRecordsResponseSchema, answer, () => {
    const heading = ["at", "by", "action", "seq", "consumer", "type", "key", "#", "asked for", "note"];
    const rows = records.map((record) => [
      record.time ? timestampDate(record.time).toISOString() : "",
      record.operator,
      record.action,
      String(record.letter?.seq ?? ""),
      record.letter?.consumer ?? "",
      lastPart(record.letter?.type ?? ""),
      record.letter?.key ?? "",
      String(record.letter?.keySeq ?? ""),
      askedFor(record),
      shortened(record.note),
    ]);
    session.table(heading, rows, "nothing was done");
    if (pageToken !== "") session.remark(`there are more; --limit shows more than ${limit}`);
  });
}

/** Which letters were asked for, and how many there were. */
function askedFor({ filter, matched }: DeadLetterRecord): string {
  if (!filter) return `numbers (${matched})`;
  const said = [
    ...(["consumer", "reason", "type", "key"] as const).map(
      (name) => filter[name] && `${name} ${filter[name]}`,
    ),
    filter.since && `since ${timestampDate(filter.since).toISOString()}`,
  ].filter(Boolean);
  return `${said.join(", ") || "all"} (${matched})`;
}

async function settle(
  session: Session,
  action: "replay" | "discard",
  seqs: readonly bigint[],
  options: SettleOptions,
): Promise<void> {
  const isAsked = options.all && !options.yes && !options.dryRun;
  const request = {
    selection: toSelection(seqs, options),
    ratePerSecond: options.rate,
    dryRun: options.dryRun === true || isAsked === true,
    operator: options.as,
    note: options.note ?? "",
  };
  const done = action === "replay" ? "replayed" : "discarded";
  const client = session.client(DeadLetterService);
  const stream = action === "replay" ? client.replayDeadLetters(request) : client.discardDeadLetters(request);
  let last: DeadLetterProgress | undefined;
  for await (const { progress } of stream) {
    last = progress;
    if (progress && !request.dryRun) session.progress(`${done} ${progress.done} of ${progress.matched}`);
  }
  session.endProgress();
  const progress = last ?? create(DeadLetterProgressSchema);
  if (isAsked) throw new UsageError(`this would ${action} ${letters(progress.matched)}; add --yes to do it`);
  if (!progress.isComplete)
    throw new BadNews(`ended after ${progress.done} of ${progress.matched}; run it again`);
  session.answer(DeadLetterProgressSchema, progress, () => {
    if (options.dryRun) session.say(`would ${action} ${letters(progress.matched)}`);
    else
      session.say(`${done} ${letters(progress.done)}${progress.gone ? `; ${progress.gone} were gone` : ""}`);
  });
  const isMissing = seqs.length > 0 && Number(progress.matched) < new Set(seqs).size;
  if (isMissing)
    throw new BadNews("some of these numbers name no dead letter; `meshctl dlq ls` shows those there are");
}

function toSelection(
  seqs: readonly bigint[],
  { all, ...options }: SettleOptions,
): MessageInitShape<typeof DeadLetterSelectionSchema> {
  const filter = toFilter(options);
  const isFiltered = Object.values(filter).some(Boolean);
  if ([seqs.length > 0, isFiltered, all === true].filter(Boolean).length !== 1)
    throw new UsageError("say which: numbers, or a filter such as --key, or --all; one of them");
  if (seqs.length > 0) return { letters: { case: "seqs", value: { seqs: [...seqs] } } };
  return isFiltered
    ? { letters: { case: "filter", value: filter } }
    : { letters: { case: "all", value: true } };
}

function letters(count: bigint): string {
  return count === 1n ? "1 dead letter" : `${count} dead letters`;
}

function timeOf({ deadTime }: DeadLetter): string {
  return deadTime ? timestampDate(deadTime).toISOString() : "";
}
