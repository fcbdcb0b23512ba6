import { nkeys } from "@nats-io/nats-core";

const ISSUED_AT_S = Math.floor(Date.now() / 1_000);
const UNLIMITED = { subs: -1, data: -1, payload: -1 };

/** A broker's configuration that lets in who has credentials of one account, and the content of such a file. */
export function natsAccount(): { readonly config: string; readonly creds: string } {
  const [operator, user] = [nkeys.createOperator(), nkeys.createUser()];
  // JetStream asks for one of the system's own.
  const [account, system] = [nkeys.createAccount(), nkeys.createAccount()];
  const operatorJwt = jwt(operator, operator, { type: "operator" });
  const limits = { ...UNLIMITED, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const accounts = [account, system].map(
    (each) => `${each.getPublicKey()}: ${jwt(operator, each, { type: "account", limits })}`,
  );
  const userJwt = jwt(account, user, { type: "user", ...UNLIMITED });
  return {
    config: `operator: ${operatorJwt}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${accounts.join("\n  ")}
}
`,
    creds: `-----BEGIN NATS USER JWT-----
${userJwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${new TextDecoder().decode(user.getSeed())}
------END USER NKEY SEED------
`,
  };
}

/** What `issuer` says of `subject`, signed, as nsc writes it. */
function jwt(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const [iss, sub] = [issuer.getPublicKey(), subject.getPublicKey()];
  const body = { jti: sub, iat: ISSUED_AT_S, iss, sub, name: sub, nats: { ...claims, version: 2 } };
  const signed = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${encode(body)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}
