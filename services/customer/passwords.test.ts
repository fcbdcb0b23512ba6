import { scryptSync } from "node:crypto";
import { expect, test } from "vitest";
import { openPasswords } from "./passwords.ts";

const passwords = openPasswords();

test("a password matches its own hash, and no other does", async () => {
  const hash = await passwords.hash("correct horse");
  expect(await passwords.matches("correct horse", hash)).toBe(true);
  expect(await passwords.matches("correct horsf", hash)).toBe(false);
});

test("a hash tells its parameters, holds 16 bytes of salt, and is another one each time", async () => {
  const hashes = await Promise.all([passwords.hash("secret-1"), passwords.hash("secret-1")]);
  for (const hash of hashes) {
    const [, name, cost, salt = "", derived = ""] = hash.split("$");
    expect([name, cost]).toEqual(["scrypt", "ln=15,r=8,p=3"]);
    expect([salt, derived].map((text) => Buffer.from(text, "base64").length)).toEqual([16, 32]);
  }
  expect(hashes[0]).not.toBe(hashes[1]);
});

test("a hash of other parameters is checked with those", async () => {
  const salt = Buffer.from("0123456789abcdef");
  const derived = scryptSync("old secret", salt, 32, { N: 2 ** 10, r: 8, p: 1 });
  const [saltText, derivedText] = [salt, derived].map((b) => b.toString("base64").replace(/=+$/, ""));
  const hash = `$scrypt$ln=10,r=8,p=1$${saltText}$${derivedText}`;
  expect(await passwords.matches("old secret", hash)).toBe(true);
  expect(await passwords.matches("new secret", hash)).toBe(false);
});

test("the same password matches, however its accents were typed", async () => {
  const hash = await passwords.hash("caf\u00e9 au lait");
  expect(await passwords.matches("cafe\u0301 au lait", hash)).toBe(true);
});

test("without a hash nothing matches, and the answer is no faster", async () => {
  const hash = await passwords.hash("secret-1");
  // Of the processor, so that a busy machine changes nothing.
  const workOf = async (known: string | undefined) => {
    const before = process.cpuUsage();
    expect(await passwords.matches("secret-2", known)).toBe(false);
    return process.cpuUsage(before).user;
  };
  // Far apart: an answer without a hash would come with a thousandth of the work.
  expect(await workOf(undefined)).toBeGreaterThan((await workOf(hash)) / 10);
});

test("two run and four wait; the next is refused, and those who wait are served", async () => {
  const cheap = `$scrypt$ln=10,r=8,p=1$${"A".repeat(22)}$${"A".repeat(43)}`;
  const asked = [...Array(6).keys()].map(() => passwords.matches("secret-1", cheap));
  await expect(passwords.matches("secret-1", cheap)).rejects.toMatchObject({ reason: "TOO_MANY_SIGN_INS" });
  expect(new Set(await Promise.all(asked))).toEqual(new Set([false]));
});

test("what is no hash is a fault, not a wrong password", async () => {
  await expect(passwords.matches("secret-1", "plain text")).rejects.toThrow("no scrypt hash");
});
