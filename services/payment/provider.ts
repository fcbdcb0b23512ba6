import { PaymentError } from "../../gen/shop/payment/v1/payment_error_pb.ts";
import type { Clock } from "../../mesh/core/clock.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { type Outcome, refuse } from "./payment.ts";

/** An amount to hold on a card. */
export interface Hold {
  /** The idempotency key: calls with the same key are one hold, however often they are made. */
  readonly key: string;
  readonly amountCents: number;
  /** What to charge, in the provider's words. Never kept, never logged. */
  readonly paymentToken: string;
}

/**
 * Who holds and charges for us. What we capture and refund it learns from a daily settlement, which is no concern of a
 * call, so there is nothing to ask for these.
 */
export interface PaymentProvider {
  /**
   * Asks to hold an amount. The answer to a key is final: later calls get the same. Throws UNKNOWN_TOKEN, or
   * PROVIDER_UNAVAILABLE if there is no answer before the signal aborts; then it is open whether the amount is held.
   */
  authorize(hold: Hold, signal?: AbortSignal): Promise<Outcome>;
  /** Lets go what is held under a key, and sees to it that nothing will be. Safe to call twice. */
  release(key: string): Promise<void>;
}

const SLOW_MS = 3_000;
// Longer than anybody waits.
const SILENT_MS = 3_600_000;
const FLAKY_FAILURES = 2;

/**
 * A stand-in for a real provider, for demonstrations and tests: its tokens say what it answers. It remembers its answers
 * in a table of its own, as a real provider would, so that they survive when this process is killed.
 */
export function simulatedProvider(sql: Sql, clock: Clock): PaymentProvider {
  return {
    async authorize({ key, paymentToken }, signal) {
      const known = await answered(key);
      if (known) return known;
      switch (paymentToken) {
        case "tok_ok":
          return answer(key, "APPROVED");
        case "tok_declined":
          return answer(key, "DECLINED");
        case "tok_slow":
          await clock.sleep(SLOW_MS, signal);
          if (signal?.aborted) throw unavailable("did not answer in time");
          return answer(key, "APPROVED");
        case "tok_silent":
          await clock.sleep(SILENT_MS, signal);
          throw unavailable("did not answer in time");
        case "tok_flaky":
          if (await fails(key)) throw unavailable("is away");
          return answer(key, "APPROVED");
        default:
          throw refuse(PaymentError.UNKNOWN_TOKEN, "the payment provider does not know the payment token");
      }
    },

    async release(key) {
      await sql`
        INSERT INTO simulated_provider_hold (key, outcome) VALUES (${key}, 'RELEASED')
        ON CONFLICT (key) DO UPDATE SET outcome = 'RELEASED'`;
    },
  };

  async function answered(key: string): Promise<Outcome | undefined> {
    const [row] = await sql<{ outcome: Outcome | null }[]>`
      SELECT outcome FROM simulated_provider_hold WHERE key = ${key}`;
    return row?.outcome ?? undefined;
  }

  /** The first answer to a key stands. */
  async function answer(key: string, outcome: Outcome): Promise<Outcome> {
    const [row] = await sql<{ outcome: Outcome }[]>`
      INSERT INTO simulated_provider_hold AS h (key, outcome) VALUES (${key}, ${outcome})
      ON CONFLICT (key) DO UPDATE SET outcome = coalesce(h.outcome, EXCLUDED.outcome)
      RETURNING outcome`;
    return row?.outcome ?? outcome;
  }

  async function fails(key: string): Promise<boolean> {
    const { count } = await sql`
      INSERT INTO simulated_provider_hold AS h (key, failures) VALUES (${key}, 1)
      ON CONFLICT (key) DO UPDATE SET failures = h.failures + 1 WHERE h.failures < ${FLAKY_FAILURES}`;
    return count === 1;
  }
}

function unavailable(what: string) {
  return refuse(PaymentError.PROVIDER_UNAVAILABLE, `the payment provider ${what}; try again`);
}
