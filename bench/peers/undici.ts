import { Pool } from "undici";
import type { Ask } from "../gateway/child.ts";

/** Bare undici, with so many connections to each origin. */
export function openClient(connections: number): Ask {
  const pools = new Map<string, Pool>();
  return async ({ origin, method, path, headers, body }) => {
    const pool = pools.get(origin) ?? new Pool(origin, { connections });
    pools.set(origin, pool);
    const answer = await pool.request({ method, path, headers, ...(body !== undefined && { body }) });
    return { status: answer.statusCode, text: await answer.body.text() };
  };
}
