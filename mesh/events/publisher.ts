import { JetStreamApiError } from "@nats-io/jetstream";
import { errors, type Msg, type MsgHdrs } from "@nats-io/nats-core";
import { inboxOf, type Online } from "../nats/connection.ts";

/** A message for a stream. */
export interface Outgoing {
  readonly subject: string;
  readonly headers: MsgHdrs;
  readonly payload: Uint8Array;
}

/** What the broker says of a message that it has stored. */
export interface Ack {
  readonly seq: number;
  /** True if it had been stored before. */
  readonly isDuplicate: boolean;
}

/** Where a message is stored, or why it is not, as far as that is known. */
export type Outcome = { readonly ack: Ack } | { readonly error: unknown };

/** A way to store messages on one connection. */
export interface Publisher {
  /**
   * Sends so many messages, each made when its turn comes, and resolves with what has become of each. Those that the
   * broker has not answered for when it has been silent for so long, or the connection is lost, have failed. Never
   * rejects. Not to be called again before it has resolved.
   */
  publishAll(count: number, messageAt: (at: number) => Outgoing, silenceMs: number): Promise<Outcome[]>;
  close(): void;
}

const IN_FLIGHT = 256;

/** Opens a publisher. The client's own makes a request of each message, with a timer and stack traces of its own, which costs more than the message. */
export function openPublisher({ connection, lost }: Online): Publisher {
  const inbox = inboxOf(connection);
  const waiting = new Map<string, (answer: Msg) => void>();
  let sent = 0;
  const subscription = connection.subscribe(`${inbox}.*`, {
    callback(error, message) {
      if (error) return;
      const settle = waiting.get(message.subject);
      waiting.delete(message.subject);
      settle?.(message);
    },
  });

  return {
    publishAll: (count, messageAt, silenceMs) =>
      new Promise((resolve) => {
        const outcomes = new Array<Outcome>(count);
        let next = 0;
        let inFlight = 0;
        const silence = setTimeout(() => giveUp(new errors.TimeoutError()), silenceMs);
        const onLost = () => giveUp(lost.reason);
        lost.addEventListener("abort", onLost, { once: true });

        function finish(): void {
          clearTimeout(silence);
          lost.removeEventListener("abort", onLost);
          waiting.clear();
          resolve(outcomes);
        }

        function giveUp(error: unknown): void {
          for (let at = 0; at < count; at++) outcomes[at] ??= { error };
          finish();
        }

        function send(): void {
          while (next < count && inFlight < IN_FLIGHT) {
            const at = next++;
            try {
              const { subject, headers, payload } = messageAt(at);
              const reply = `${inbox}.${++sent}`;
              connection.publish(subject, payload, { headers, reply });
              inFlight++;
              waiting.set(reply, (answer) => {
                outcomes[at] = outcomeOf(answer, subject);
                inFlight--;
                silence.refresh();
                send();
              });
            } catch (error) {
              outcomes[at] = { error };
            }
          }
          if (inFlight === 0) finish();
        }

        if (lost.aborted) onLost();
        else send();
      }),
    close: () => subscription.unsubscribe(),
  };
}

function outcomeOf(answer: Msg, subject: string): Outcome {
  if (answer.headers?.code === NO_RESPONDERS) return { error: new errors.NoRespondersError(subject) };
  try {
    const { seq, duplicate, error } = answer.json<Answer>();
    return error
      ? { error: new JetStreamApiError(error) }
      : { ack: { seq, isDuplicate: duplicate === true } };
  } catch (error) {
    return { error };
  }
}

const NO_RESPONDERS = 503;

/** The broker's answer to a message for a stream. */
interface Answer {
  readonly seq: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: number; readonly err_code: number; readonly description: string };
}
