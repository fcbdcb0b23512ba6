import type { PairMeasured } from "../calls/pair.ts";
import { type Results, ratioOf } from "./results.ts";
import { BASE, OURS, PROTECTED } from "./subjects.ts";

/** What is asked of ours beside a peer in the same run. */
export interface Bar {
  readonly what: string;
  /** NaN if it was not measured. */
  readonly measured: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const SMALL = "unary-20b-64";

const perSecond = ({ perSecond }: PairMeasured) => perSecond;
const p50 = ({ p50Ms }: PairMeasured) => p50Ms;
const cpu = ({ clientUs, serverUs }: PairMeasured) => clientUs + serverUs;

/** All bars. */
export function bars({ calls }: Results): Bar[] {
  const beside = (ours: string, peer: string, of: string, pick = perSecond) =>
    ratioOf(calls, { subject: ours, case: of }, { subject: peer, case: of }, pick);
  const calledLike = (ours: string, peer: string, atLeast: number): Bar => ({
    what: `unary 20 B, 64 in flight: calls/s beside ${peer}`,
    measured: beside(ours, peer, SMALL),
    atLeast,
  });
  const guarded = (peer: string, atLeast: number): Bar => ({
    what: `protected, unary 20 B, 64 in flight: calls/s beside ${peer}`,
    measured: beside(PROTECTED, peer, SMALL),
    atLeast,
  });
  return [
    calledLike(OURS, BASE, 7),
    calledLike(OURS, "connect-grpc", 20),
    calledLike(OURS, "fastify", 1.6),
    calledLike(OURS, "tcp-floor", 0.45),
    {
      what: `unary 20 B, 1 in flight: p50 beside ${BASE}`,
      measured: beside(OURS, BASE, "unary-20b-1", p50),
      atMost: 0.5,
    },
    {
      what: `server stream: messages/s beside ${BASE}`,
      measured: beside(OURS, BASE, "list"),
      atLeast: 5,
    },
    {
      what: `unary 1 MiB: MB/s beside ${BASE}`,
      measured: beside(OURS, BASE, "unary-1mib-4"),
      atLeast: 1,
    },
    guarded(BASE, 4),
    guarded("fastify-cockatiel", 1.5),
    guarded("moleculer-protected", 1),
    {
      what: "unary 20 B: CPU per call of both sides, 512 in flight beside 64",
      measured: ratioOf(calls, { subject: OURS, case: "unary-20b-512" }, { subject: OURS, case: SMALL }, cpu),
      atMost: 1.3,
    },
  ];
}

/** Whether a bar that was measured holds. */
export function holds({ measured, atLeast = -Infinity, atMost = Infinity }: Bar): boolean {
  return measured >= atLeast && measured <= atMost;
}
