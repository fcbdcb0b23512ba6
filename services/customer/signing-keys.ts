import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from "jose";
import type { Clock } from "../../mesh/core/clock.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import type { Prune } from "../../mesh/store/housekeeping.ts";
import { dueKey, signingKey, usefulKeys } from "./key-schedule.ts";
import {
  bringForward,
  deleteSigningKeys,
  findPrivateKey,
  findSigningKeys,
  insertSigningKey,
  type Jwk,
  type SigningKey,
} from "./store.ts";

/** The signature that every library that reads tokens knows: ECDSA with P-256. */
export const ALGORITHM = "ES256";

/** The keys that tokens are signed with. They are in the database, so all instances sign with the same. */
export interface SigningKeys {
  /** The key that signs now. */
  current(): Promise<{ readonly kid: string; readonly privateKey: CryptoKey }>;
  /** What others check tokens with: the public parts, of the coming key too. */
  published(): Promise<Jwk[]>;
  /** Publishes the next key now, if it is not yet, and has it sign so long from now, or earlier if it is to sign earlier. */
  rotate(afterMs: number): Promise<SigningKey>;
  /** Forgets keys that no good token is signed with. */
  readonly prune: Prune;
}

const HOUR_MS = 3_600_000;

/**
 * Opens the signing keys. Whoever needs one makes the next in time, so nothing has to run in between: a new key is
 * published before it signs, and an old one until the last token that it signed has ended.
 */
export function openSigningKeys(sql: Sql, rotationHours: number, clock: Clock): SigningKeys {
  async function keys() {
    const known = await findSigningKeys(sql);
    const due = dueKey(known, clock.date(), rotationHours * HOUR_MS);
    if (!due) return known;
    // If another instance was faster, its key is the one.
    await insertSigningKey(sql, { ...due, ...(await newKeyPair()) });
    return findSigningKeys(sql);
  }

  return {
    async current() {
      const key = signingKey(await keys(), clock.date());
      const privateJwk = key && (await findPrivateKey(sql, key.kid));
      if (!privateJwk) throw new Error("there is no key to sign with");
      // Nobody can read it back out of what is returned.
      const privateKey = await importJWK(privateJwk, ALGORITHM, { extractable: false });
      return { kid: key.kid, privateKey: privateKey as CryptoKey };
    },

    async published() {
      const useful = usefulKeys(await keys(), clock.date());
      return useful.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: ALGORITHM, use: "sig" }));
    },

    async rotate(afterMs) {
      const before = await keys();
      const now = clock.date();
      const signsFrom = new Date(now.getTime() + afterMs);
      const newest = before.at(-1);
      const isComing = newest !== undefined && before.length > 1 && newest.signsFrom > now;
      const number = isComing ? newest.number : (newest?.number ?? 0) + 1;
      // Another instance may have made the one with this number: then that is the next.
      if (!isComing) await insertSigningKey(sql, { number, signsFrom, ...(await newKeyPair()) });
      await bringForward(sql, number, signsFrom);
      const next = (await findSigningKeys(sql)).find((key) => key.number === number);
      if (!next) throw new Error("the key that was made is not there");
      return next;
    },

    async prune(tx) {
      const all = await findSigningKeys(tx);
      const useful = usefulKeys(all, clock.date());
      const ended = all.filter((key) => !useful.includes(key)).map(({ number }) => number);
      return deleteSigningKeys(tx, ended);
    },
  };
}

async function newKeyPair() {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  return {
    kid: await calculateJwkThumbprint(publicJwk),
    publicJwk,
    privateJwk: await exportJWK(privateKey),
  };
}
