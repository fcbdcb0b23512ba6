import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where the keys of services are: a private one for each, and the public ones of those that may call others in their own name. */
export interface ServiceKeys {
  readonly privateKeyOf: (service: string) => string;
  readonly publicKeys: string;
}

/**
 * Makes a key pair for each service in a folder, or finds those that are there. Only its owner can read a private key. Put each
 * where its service alone reads it, and the public ones where all do.
 */
export function keptServiceKeys(folder: string, services: readonly string[]): ServiceKeys {
  const publicKeys = join(folder, "public");
  const privateKeyOf = (service: string) => join(folder, `${service}.private.json`);
  mkdirSync(publicKeys, { recursive: true });
  for (const service of services) {
    const publicFile = join(publicKeys, `${service}.json`);
    if (existsSync(publicFile) && existsSync(privateKeyOf(service))) continue;
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    writeFileSync(privateKeyOf(service), JSON.stringify(privateKey.export({ format: "jwk" })), {
      mode: 0o600,
    });
    writeFileSync(publicFile, JSON.stringify(publicKey.export({ format: "jwk" })));
  }
  return { privateKeyOf, publicKeys };
}
