import { createHash } from "node:crypto";
import { RateLimiterPostgres, RateLimiterRes } from "rate-limiter-flexible";
import type { Sql } from "../../mesh/store/connect.ts";
import type { Prune } from "../../mesh/store/housekeeping.ts";
import { invalidCredentials, signInBlocked } from "./customer.ts";

/** How many wrong passwords an address may get. */
export interface SignInLimitOptions {
  readonly maxAttempts: number;
  /** Begins with the first wrong one. Milliseconds. */
  readonly windowMs: number;
}

/** Bounds how often passwords are guessed. All instances count together, and a restart forgets nothing. */
export interface SignInLimit {
  /**
   * Runs an attempt for an address, which says whom it found, or nothing if the password is wrong. Throws INVALID_CREDENTIALS for
   * nothing, and SIGN_IN_BLOCKED, with no attempt made, once there were too many. A right one forgives those before it.
   */
  attempt<T>(email: string, attempt: () => Promise<T | undefined>): Promise<T>;
  /** Forgets what has ended. */
  readonly prune: Prune;
}

/** Opens the limit on the table `sign_in_attempt`. */
export function openSignInLimit(sql: Sql, { maxAttempts, windowMs }: SignInLimitOptions): SignInLimit {
  const limiter = new RateLimiterPostgres({
    // What the limiter asks of a client of the driver that it knows.
    storeClient: {
      query: async ({ text, values }: { readonly text: string; readonly values: (string | number)[] }) => ({
        rows: await sql.unsafe(text, values),
      }),
    },
    storeType: "client",
    tableName: "sign_in_attempt",
    tableCreated: true,
    clearExpiredByTimeout: false,
    keyPrefix: "",
    points: maxAttempts,
    duration: windowMs / 1_000,
  });

  /** Counts before the password is looked at, so that guesses at the same moment are counted, too. */
  async function count(key: string): Promise<void> {
    try {
      await limiter.consume(key);
    } catch (error) {
      throw error instanceof RateLimiterRes ? signInBlocked(error.msBeforeNext) : error;
    }
  }

  return {
    async attempt(email, attempt) {
      const key = createHash("sha256").update(email).digest("base64url");
      await count(key);
      const found = await attempt().catch(async (error) => {
        // The password was not looked at.
        await limiter.reward(key);
        throw error;
      });
      if (found === undefined) throw invalidCredentials();
      await limiter.delete(key);
      return found;
    },

    async prune(tx) {
      const { count } = await tx`DELETE FROM sign_in_attempt WHERE expire < ${Date.now()}`;
      return count;
    },
  };
}
