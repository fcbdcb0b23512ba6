import { createHash } from "node:crypto";
import {
  clearField,
  clone,
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { policies } from "../contract/policy.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { currentWork } from "../core/work.ts";
import type { Queries } from "./connect.ts";
import type { Tx } from "./transaction.ts";

/** Who asks, under which id, for what. */
export interface OnceKey<I extends DescMessage> {
  /** Who calls: ids of different callers have nothing to do with each other. */
  readonly caller: string;
  /** The request_id. Empty: then the call is not remembered. */
  readonly requestId: string;
  /** What is asked for, without what does not matter. Fields marked `debug_redact` are not compared, so that nothing secret is kept of them. */
  readonly request: MessageShape<I> | MessageInitShape<I>;
}

const contracts = policies();

/**
 * Runs `fn` once for a method, caller and request id, in the caller's transaction: a repeated call gets the result of
 * the first, as it was, for as long as the method's `dedupe_ttl` says, or the deployment's for the call that is served
 * if that is longer. Two at the same time: the second waits for the first. Other content under a known id is
 * ALREADY_EXISTS, reason REQUEST_ID_REUSED. If `fn` throws nothing is remembered.
 */
export async function once<I extends DescMessage, O extends DescMessage>(
  tx: Tx,
  method: DescMethodUnary<I, O>,
  key: OnceKey<I>,
  fn: () => Promise<MessageShape<O>>,
): Promise<MessageShape<O>> {
  if (key.requestId === "") return fn();
  const name = nameOf(method);
  const digest = contentOf(method.input, key.request);
  const keptS = keptMs(method) / 1_000;
  const [begun] = await tx`
    INSERT INTO request (method, caller, request_id, content, expires_at)
    VALUES (${name}, ${key.caller}, ${key.requestId}, ${digest}, now() + make_interval(secs => ${keptS}))
    ON CONFLICT (method, caller, request_id) DO UPDATE
      SET content = EXCLUDED.content, result = NULL, created_at = now(), expires_at = EXCLUDED.expires_at
      WHERE request.expires_at < now()
    RETURNING 1`;
  if (!begun) {
    const known = await find(tx, method, key);
    if (!known) throw new Error(`the result of ${name} under ${key.requestId} went away while it was read`);
    return known;
  }
  const result = await fn();
  await tx`
    UPDATE request SET result = ${Buffer.from(toBinary(method.output, result))}
    WHERE method = ${name} AND caller = ${key.caller} AND request_id = ${key.requestId}`;
  return result;
}

/**
 * The result of a call that was done before, if it was: asked before work that a repeated call need not do again.
 * Throws REQUEST_ID_REUSED like {@link once}.
 */
export async function recall<I extends DescMessage, O extends DescMessage>(
  sql: Queries,
  method: DescMethodUnary<I, O>,
  key: OnceKey<I>,
): Promise<MessageShape<O> | undefined> {
  return key.requestId === "" ? undefined : find(sql, method, key);
}

async function find<I extends DescMessage, O extends DescMessage>(
  sql: Queries,
  method: DescMethodUnary<I, O>,
  key: OnceKey<I>,
): Promise<MessageShape<O> | undefined> {
  const { caller, requestId } = key;
  const [row] = await sql<{ content: string; result: Buffer }[]>`
    SELECT content, result FROM request
    WHERE method = ${nameOf(method)} AND caller = ${caller} AND request_id = ${requestId} AND expires_at >= now()`;
  if (!row) return undefined;
  if (row.content !== contentOf(method.input, key.request)) {
    const text = `request_id ${requestId} was used with other content; use a new id for a new request`;
    throw refuseByMesh(MeshError.REQUEST_ID_REUSED, text, { metadata: { request_id: requestId } });
  }
  return fromBinary(method.output, row.result);
}

// What a deployment says is known of the call that is served. It may only raise what the contract says.
function keptMs(method: DescMethodUnary): number {
  return Math.max(contracts.method(method).dedupeTtlMs, currentWork()?.dedupeTtlMs ?? 0);
}

function nameOf(method: DescMethodUnary): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** Forgets results whose time is over, some at a time; returns how many. */
export async function pruneOnce(tx: Tx): Promise<number> {
  const { count } = await tx`
    DELETE FROM request WHERE ctid IN (
      SELECT ctid FROM request WHERE expires_at < now() LIMIT 5000)`;
  return count;
}

function contentOf<I extends DescMessage>(schema: I, request: MessageInitShape<I>): string {
  const compared = clone(schema, create(schema, request));
  for (const field of schema.fields) {
    if (field.proto.options?.debugRedact) clearField(compared, field);
  }
  return createHash("sha256").update(toBinary(schema, compared)).digest("hex");
}
