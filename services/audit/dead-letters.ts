import type { MessageInitShape, Registry } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type DeadLetterFilter,
  DeadLetterGroup,
  type DeadLetterProgressSchema,
  type DeadLetterSelection,
  type DeadLetterService,
  type DiscardDeadLettersRequest,
  type ReplayDeadLettersRequest,
} from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../mesh/contract/reasons.ts";
import type { Log } from "../../mesh/core/log.ts";
import { type KeptRecord, readDeadLetterRecords } from "../../mesh/events/dead-letter-records.ts";
import {
  type BuriedLetter,
  describeLetter,
  type LetterFilter,
  readDeadLetter,
  readDeadLetters,
} from "../../mesh/events/dead-letter-stream.ts";
import { type Settlement, settleDeadLetters } from "../../mesh/events/settle-dead-letters.ts";
import type { Nats, Online } from "../../mesh/nats/connection.ts";
import type { Operators } from "../../mesh/rpc/server/operators.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import { invalidRequest } from "../../mesh/rpc/server/validation.ts";
import type { Meter } from "../../mesh/telemetry/metrics.ts";
import { fromBroker } from "./broker.ts";
import { contentOf } from "./content.ts";

/** What the RPCs work with. */
export interface DeadLetterParts {
  readonly nats: Nats;
  /** The messages that can be read. */
  readonly contracts: Registry;
  readonly operators: Operators;
  /** Counts what is settled. */
  readonly meter: Meter;
  readonly log: Log;
}

const RATE_PER_SECOND = 50;
const SETTLED_AT_ONCE = 50_000;
const GROUPS_SHOWN = 100;
const GROUPS_COUNTED = 10_000;
const NONE: LetterFilter = { consumer: "", reason: "", type: "", key: "", since: undefined };

/** The RPCs of DeadLetterService. */
export function deadLetterService(parts: DeadLetterParts): ServiceImpl<typeof DeadLetterService> {
  const { nats, contracts, operators, meter, log } = parts;

  const read = (filter: LetterFilter, afterSeq: number, signal: AbortSignal) =>
    fromBroker(nats, signal, (online) => readDeadLetters(online, { filter, afterSeq, signal }));

  async function* settle(
    action: Settlement["action"],
    request: ReplayDeadLettersRequest | DiscardDeadLettersRequest,
    { requestHeader, signal }: HandlerContext,
  ): AsyncGenerator<{ progress: MessageInitShape<typeof DeadLetterProgressSchema> }> {
    operators.assertOperator(requestHeader);
    const { operator, note, dryRun, ratePerSecond } = request;
    const selection = toSelection(request.selection);
    const filter = "filter" in selection ? selection.filter : undefined;
    const settlement = { action, operator, note, ratePerSecond: ratePerSecond || RATE_PER_SECOND, filter };
    const progress = { matched: 0n, done: 0n, gone: 0n, isComplete: false };

    async function* run(online: Online) {
      const letters = await select(online, selection, signal);
      progress.matched = BigInt(letters.length);
      yield { progress: { ...progress } };
      if (dryRun) return;
      log.warn({ action, operator, note, letters: letters.length }, "an operator settles dead letters");
      for await (const { done, gone } of settleDeadLetters(online, letters, settlement, { signal, meter })) {
        progress.done = BigInt(done);
        progress.gone = BigInt(gone);
        yield { progress: { ...progress } };
      }
    }
    yield* fromBroker(nats, signal, run);
    yield { progress: { ...progress, isComplete: true } };
  }

  return {
    async listDeadLetters({ filter, pageSize: asked, pageToken }, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      const [afterSeq = "0"] = readPageToken(pageToken, 1, isSeq) ?? [];
      const size = pageSize(asked);
      const found: BuriedLetter[] = [];
      for await (const letter of read(toFilter(filter), Number(afterSeq), signal)) {
        found.push(letter);
        if (found.length > size) break;
      }
      const [letters, nextPageToken] = cutPage(found, size, ({ seq }) => [String(seq)]);
      return { letters: letters.map(describeLetter), nextPageToken };
    },

    async countDeadLetters({ filter, groupBy }, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      const groups = new Map<string, { count: number; firstTime: Date }>();
      let total = 0;
      for await (const letter of read(toFilter(filter), 0, signal)) {
        total++;
        const value = groupOf(letter, groupBy);
        const { count, firstTime } = groups.get(value) ?? { count: 0, firstTime: letter.deadTime };
        if (count > 0 || groups.size < GROUPS_COUNTED) groups.set(value, { count: count + 1, firstTime });
      }
      const counts = [...groups]
        .sort(([, one], [, other]) => other.count - one.count)
        .slice(0, GROUPS_SHOWN)
        .map(([value, { count, firstTime }]) => ({
          value,
          count: BigInt(count),
          firstTime: timestampFromDate(firstTime),
        }));
      return { counts, total: BigInt(total) };
    },

    async getDeadLetter({ seq }, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      async function* get(online: Online) {
        yield await readDeadLetter(online, Number(seq), signal);
      }
      for await (const found of fromBroker(nats, signal, get)) {
        if (!found) break;
        const { letter, payload } = found;
        return {
          letter: describeLetter(letter),
          headers: { ...letter.headers },
          errorStack: letter.errorStack,
          payload: contentOf(contracts, letter.type, payload),
        };
      }
      const metadata = { seq: String(seq) };
      throw refuseByMesh(MeshError.DEAD_LETTER_NOT_FOUND, `there is no dead letter ${seq}`, { metadata });
    },

    replayDeadLetters: (request, context) => settle("replay", request, context),
    discardDeadLetters: (request, context) => settle("discard", request, context),

    async listDeadLetterRecords(request, { requestHeader, signal }) {
      operators.assertOperator(requestHeader);
      const { action, operator, consumer, key, since } = request;
      const filter = { action, operator, consumer, key, since: since && timestampDate(since) };
      const [before] = readPageToken(request.pageToken, 1, isSeq) ?? [];
      const beforeSeq = before === undefined ? undefined : Number(before);
      const size = pageSize(request.pageSize);
      const found: KeptRecord[] = [];
      const read = (online: Online) => readDeadLetterRecords(online, { filter, beforeSeq, signal });
      for await (const kept of fromBroker(nats, signal, read)) {
        found.push(kept);
        if (found.length > size) break;
      }
      const [page, nextPageToken] = cutPage(found, size, ({ seq }) => [String(seq)]);
      return { records: page.map(({ record }) => record), nextPageToken };
    },
  };
}

type Selection = { readonly seqs: readonly number[] } | { readonly filter: LetterFilter };

/** Throws INVALID_ARGUMENT for a filter that says nothing: who means all says so. */
function toSelection(selection: DeadLetterSelection | undefined): Selection {
  const letters = selection?.letters;
  if (letters?.case === "seqs") return { seqs: letters.value.seqs.map(Number) };
  if (letters?.case === "all") return { filter: NONE };
  const filter = toFilter(letters?.case === "filter" ? letters.value : undefined);
  if (Object.values(filter).some(Boolean)) return { filter };
  const description = "says nothing; set `all` for every dead letter";
  throw invalidRequest([{ field: "selection.filter", description }]);
}

async function select(online: Online, selection: Selection, signal: AbortSignal): Promise<BuriedLetter[]> {
  const letters: BuriedLetter[] = [];
  if ("seqs" in selection) {
    for (const seq of new Set(selection.seqs)) {
      const found = await readDeadLetter(online, seq, signal);
      if (found) letters.push(found.letter);
    }
    return letters;
  }
  for await (const letter of readDeadLetters(online, { filter: selection.filter, afterSeq: 0, signal })) {
    letters.push(letter);
    if (letters.length >= SETTLED_AT_ONCE) break;
  }
  return letters;
}

function toFilter(filter: DeadLetterFilter | undefined): LetterFilter {
  if (!filter) return NONE;
  const { consumer, reason, type, key, since } = filter;
  return { consumer, reason, type, key, since: since && timestampDate(since) };
}

function groupOf(letter: BuriedLetter, group: DeadLetterGroup): string {
  switch (group) {
    case DeadLetterGroup.REASON:
      return letter.reason;
    case DeadLetterGroup.TYPE:
      return letter.type;
    case DeadLetterGroup.ERROR:
      return letter.errorType;
    case DeadLetterGroup.KEY:
      return letter.key;
    default:
      return letter.consumer;
  }
}

function isSeq(part: string): boolean {
  return /^\d{1,15}$/.test(part);
}
