/** What a process of the chaos is to do. Given to it as its argument, in JSON. */
export interface Plan {
  readonly databaseUrl: string;
  readonly natsUrl: string;
  /** Whether the relay looks for what the broker has lost. */
  readonly audits: boolean;
  /** What keeps the consumer from handling an event twice, or too early; all but the gate are controls. */
  readonly guard: "gate" | "inbox" | "none";
  /** Whether the owner of the events publishes again what the stream holds no more, when the consumer asks for it. */
  readonly resends: boolean;
  /** How many events the consumer handles in a transaction, if it has a gate. */
  readonly batch: number;
  readonly ackWaitMs: number;
  readonly retryDelaysMs: readonly number[];
  /** How far the clock of the process is wrong. Milliseconds. */
  readonly clockSkewMs: number;
  /** Whether the handler manages what it could not before. */
  readonly isMended: boolean;
}

/** What the handler makes of an event, by the event's text. */
export const POISON = {
  /** Refused for good. */
  permanent: "permanent",
  /** Fails three times. */
  transient: "transient",
  /** Kills the process. */
  deadly: "deadly",
} as const;

/** What a process says when it has begun. */
export const READY = "ready";

/** The plan of this process. */
export function readPlan(): Plan {
  return JSON.parse(process.argv[2] ?? "") as Plan;
}
