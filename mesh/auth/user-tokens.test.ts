import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { afterEach, expect, test, vi } from "vitest";
import type { AppError } from "../core/errors.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { remoteKeys, userTokens } from "./user-tokens.ts";

const [old, next] = await Promise.all([keyOf("old"), keyOf("next")]);
const clock = manualClock();
const nowS = () => Math.floor(clock.date().getTime() / 1_000);
const startS = nowS();

async function keyOf(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  return { kid, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256" } as JWK };
}

function token({ kid, privateKey }: typeof old, times: { nbf?: number; exp?: number } = {}): Promise<string> {
  return new SignJWT({ iss: "weft-shop", aud: "weft-shop", sub: "cust-ada", role: "customer" })
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid })
    .setIssuedAt(startS)
    .setNotBefore(times.nbf ?? startS)
    .setExpirationTime(times.exp ?? startS + 600)
    .sign(privateKey);
}

/** A place that publishes keys, and counts who asks. */
async function publisher(keys: JWK[]) {
  const place = { keys, asked: 0, status: 200 };
  const server = createServer((_, response) => {
    place.asked++;
    response.writeHead(place.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ keys: place.keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  const verify = userTokens({
    issuer: "weft-shop",
    audience: "weft-shop",
    clockSkewMs: 5_000,
    keys: remoteKeys(url),
    clock,
  });
  const outcome = (its: string) =>
    verify(its).then(
      ({ id }) => id,
      (error: AppError) => error.reason,
    );
  return { place, verify, outcome };
}

afterEach(() => void vi.useRealTimers());

test("who has signed in is known by id and role, and the proof goes along", async () => {
  const { verify } = await publisher([old.jwk]);
  const its = await token(old);
  expect(await verify(its)).toEqual({ kind: "customer", id: "cust-ada", token: its });
});

test("clocks may differ by the skew, and by no more", async () => {
  const { outcome } = await publisher([old.jwk]);
  expect(await outcome(await token(old, { exp: startS - 4 }))).toBe("cust-ada");
  expect(await outcome(await token(old, { exp: startS - 5 }))).toBe("TOKEN_INVALID");
  expect(await outcome(await token(old, { nbf: startS + 5 }))).toBe("cust-ada");
  expect(await outcome(await token(old, { nbf: startS + 6 }))).toBe("TOKEN_INVALID");
});

test("a key that is new is looked for, once in 5 seconds at most; one that has gone is forgotten in 5 minutes", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const { place, outcome } = await publisher([old.jwk]);
  const [byOld, byNext] = [await token(old), await token(next)];
  expect(await outcome(byOld)).toBe("cust-ada");
  place.keys = [old.jwk, next.jwk];
  for (let times = 0; times < 5; times++) expect(await outcome(byNext)).toBe("TOKEN_INVALID");
  expect(place.asked).toBe(1);
  vi.advanceTimersByTime(5_001);
  vi.setSystemTime(Date.now() + 5_001);
  expect(await outcome(byNext)).toBe("cust-ada");
  expect(await outcome(byOld)).toBe("cust-ada");
  expect(place.asked).toBe(2);
  place.keys = [next.jwk];
  vi.setSystemTime(Date.now() + 299_000);
  expect(await outcome(byOld)).toBe("cust-ada");
  vi.setSystemTime(Date.now() + 2_000);
  clock.advance(5_000);
  expect(await outcome(byOld)).toBe("TOKEN_INVALID");
  expect(await outcome(byNext)).toBe("cust-ada");
});

test("a token that was good is not looked at again for 5 seconds; one that was not always is", async () => {
  let looks = 0;
  const key = async () => {
    looks++;
    return old.publicKey;
  };
  const verify = userTokens({ issuer: "weft-shop", audience: "weft-shop", clockSkewMs: 0, keys: key, clock });
  const good = await token(old);
  const forged = await token(next);
  for (let times = 0; times < 3; times++) {
    expect((await verify(good)).id).toBe("cust-ada");
    await expect(verify(forged)).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
  }
  expect(looks).toBe(1 + 3);
  clock.advance(5_000);
  await verify(good);
  expect(looks).toBe(1 + 3 + 1);
});

test("while the keys cannot be had nobody is refused for good", async () => {
  const { place, outcome } = await publisher([old.jwk]);
  place.status = 500;
  expect(await outcome(await token(old))).toBe("DEPENDENCY_UNAVAILABLE");
  place.status = 200;
  expect(await outcome(await token(old))).toBe("cust-ada");
  const away = userTokens({
    issuer: "weft-shop",
    audience: "weft-shop",
    clockSkewMs: 0,
    keys: remoteKeys("http://127.0.0.1:1/jwks"),
    clock,
  });
  await expect(away(await token(old))).rejects.toMatchObject({ reason: "DEPENDENCY_UNAVAILABLE" });
  await expect(away("made-up")).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
});
