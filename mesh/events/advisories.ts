import type { JsMsg } from "@nats-io/jetstream";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import type { Nats } from "../nats/connection.ts";
import type { Meter } from "../telemetry/metrics.ts";
import { followDurable } from "./durable.ts";
import { ADVISORIES } from "./streams.ts";

/** What the broker says by itself of a stream, or of a durable consumer. */
export interface Advisory {
  readonly kind: "max_deliveries" | "terminated" | "consumer_deleted" | "stream_deleted";
  readonly stream: string;
  /** `<service>__<subscription>`; none if it is about a stream. */
  readonly consumer?: string;
}

/** What keeping an eye on the broker needs. */
export interface FollowAdvisories {
  readonly nats: Nats;
  /** The service that does it, of which one instance takes each advisory. */
  readonly service: string;
  /** Counts them. Defaults to none. */
  readonly meter?: Meter;
  readonly log: Log;
  readonly clock?: Clock;
}

const ACK_WAIT_MS = 30_000;
const KINDS: readonly (readonly [subject: string, kind: Advisory["kind"]])[] = [
  ["CONSUMER.MAX_DELIVERIES", "max_deliveries"],
  ["CONSUMER.MSG_TERMINATED", "terminated"],
  ["CONSUMER.DELETED", "consumer_deleted"],
  ["STREAM.DELETED", "stream_deleted"],
];

/** The name of the durable by which a service takes advisories. */
export function advisoryConsumer(service: string): string {
  return `${service}__advisories`;
}

/**
 * Keeps what the broker says by itself for seven days, in the stream ADVISORY, and writes it into the log: that it gave up
 * a message, that a durable consumer or a stream is gone. For people: the broker may lose one, and nothing depends on it.
 */
export function followAdvisories(options: FollowAdvisories): Running {
  const { nats, service, meter, log, clock = systemClock } = options;
  return followDurable({
    nats,
    stream: ADVISORIES,
    name: advisoryConsumer(service),
    concurrency: 1,
    ackWaitMs: ACK_WAIT_MS,
    laneOf: () => "",
    ready: async () => {},
    async settle(message) {
      tell(message);
      message.ack();
    },
    log,
    clock,
  });

  function tell({ subject, seq }: JsMsg): void {
    const advisory = readAdvisory(subject);
    if (!advisory) return;
    log.warn({ ...advisory, advisorySeq: seq }, "the broker says");
    const { kind, stream, consumer } = advisory;
    meter?.count("mesh.broker.advisory", { kind, stream, ...(consumer && { consumer }) });
  }
}

/**
 * What an advisory says, by the subject that it came on. Undefined if it is about a consumer that is none of a subscription:
 * readers come and go, and the broker tells of each.
 */
export function readAdvisory(subject: string): Advisory | undefined {
  for (const [name, kind] of KINDS) {
    const start = `$JS.EVENT.ADVISORY.${name}.`;
    if (!subject.startsWith(start)) continue;
    const [stream = "", consumer] = subject.slice(start.length).split(".");
    if (consumer === undefined) return { kind, stream };
    return consumer.includes("__") ? { kind, stream, consumer } : undefined;
  }
  return undefined;
}
