import { randomBytes, scrypt as scryptWithCallback, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { tooManySignIns } from "./customer.ts";
import { slots } from "./slots.ts";

const scrypt = promisify<string, Buffer, number, object, Buffer>(scryptWithCallback);

/** What a hash costs: N is 2 to the power of `ln`. */
interface Cost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

// One of the settings that OWASP's password storage cheat sheet holds equal: 32 MiB and some 0.2 s for each check.
const COST: Cost = { ln: 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
// Half of libuv's threads; the others are for files, names and signatures.
const MAX_RUNNING = 2;
// Fewer in all than the server lets in at its lowest, so that sign-ins keep no other call out.
const MAX_WAITING = 4;

/** Hashes and checks passwords, a few at a time. Throws TOO_MANY_SIGN_INS when too many wait already. */
export interface Passwords {
  /** A salted hash that tells its parameters, to be kept. */
  hash(password: string, signal?: AbortSignal): Promise<string>;
  /** True if the password belongs to the hash. Without a hash it takes as long, and is false. */
  matches(password: string, hash: string | undefined, signal?: AbortSignal): Promise<boolean>;
}

/** Makes what hashes and checks passwords in this process. */
export function openPasswords(): Passwords {
  const inSlot = slots({ maxRunning: MAX_RUNNING, maxWaiting: MAX_WAITING, full: tooManySignIns });
  // Belongs to no password, and costs what a real one costs: how long an answer takes tells nobody who has an account.
  const nobodys = format(COST, randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));

  return {
    async hash(password, signal) {
      const salt = randomBytes(SALT_BYTES);
      return format(COST, salt, await inSlot(() => derive(password, salt, HASH_BYTES, COST), signal));
    },

    async matches(password, hash = nobodys, signal) {
      const { cost, salt, derived } = parse(hash);
      const found = await inSlot(() => derive(password, salt, derived.length, cost), signal);
      return timingSafeEqual(found, derived);
    },
  };
}

function derive(password: string, salt: Buffer, bytes: number, { ln, r, p }: Cost): Promise<Buffer> {
  const N = 2 ** ln;
  // The same password, however its accents were typed.
  const normalized = password.normalize("NFKC");
  // It needs 128 * N * r and a little more.
  return scrypt(normalized, salt, bytes, { N, r, p, maxmem: 2 * 128 * N * r });
}

function format({ ln, r, p }: Cost, salt: Buffer, derived: Buffer): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(derived)}`;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}

const FORMAT = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z\d+/]+)\$([A-Za-z\d+/]+)$/;

function parse(hash: string): { cost: Cost; salt: Buffer; derived: Buffer } {
  const [, ln, r, p, salt, derived] = FORMAT.exec(hash) ?? [];
  if (salt === undefined || derived === undefined)
    throw new Error("what is kept of a password is no scrypt hash");
  return {
    cost: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, "base64"),
    derived: Buffer.from(derived, "base64"),
  };
}
