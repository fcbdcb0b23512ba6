import { describe, expect, test } from "vitest";
import { ConfigError, choice, integer, port, readConfig, text, url, urls } from "./config.ts";

test("reads each setting as what it is", () => {
  const settings = {
    host: text("HOST"),
    port: port("PORT"),
    depth: integer("DEPTH", undefined, { min: -5 }),
    level: choice("LEVEL", ["low", "high"]),
    database: url("DATABASE_URL", ["postgres"]),
  };
  const env = { HOST: "h", PORT: "0", DEPTH: "-5", LEVEL: "high", DATABASE_URL: "postgres://u:p@h/db" };
  expect(readConfig(settings, env)).toEqual({
    host: "h",
    port: 0,
    depth: -5,
    level: "high",
    database: "postgres://u:p@h/db",
  });
});

test("what is absent, or empty, is its default", () => {
  const settings = { host: text("HOST", "127.0.0.1"), port: port("PORT", 80), name: text("NAME", "") };
  expect(readConfig(settings, { HOST: "" })).toEqual({ host: "127.0.0.1", port: 80, name: "" });
});

test("every problem is said at once, in the order of the settings", () => {
  const settings = {
    host: text("HOST"),
    port: port("PORT", 80),
    level: choice("LEVEL", ["low", "high"], "low"),
    database: url("DATABASE_URL", ["postgres", "postgresql"]),
    fine: text("FINE"),
  };
  const env = { PORT: "80.5", LEVEL: "middle", DATABASE_URL: "mysql://h", FINE: "yes" };
  try {
    readConfig(settings, env);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems).toEqual([
      "HOST is not set",
      'PORT must be a whole number from 0 to 65535, not "80.5"',
      'LEVEL must be one of low, high, not "middle"',
      "DATABASE_URL must be a URL that begins with postgres:// or postgresql://",
    ]);
    expect((error as ConfigError).message).toContain("4 problem(s)");
  }
});

describe("URLs with commas between them", () => {
  const read = (raw: string) =>
    readConfig({ nats: urls("NATS_URL", ["nats", "tls"]) }, { NATS_URL: raw }).nats;

  test.each(["nats://a:1", "nats://u:p@a:1,tls://b:2"])("%s are read", (raw) => {
    expect(read(raw)).toBe(raw);
  });

  test.each(["nats://a:1,", "nats://a:1,http://b:2", "a:1"])("%s are refused", (raw) => {
    expect(() => read(raw)).toThrow(
      "must be URLs that begin with nats:// or tls://, with commas between them",
    );
  });
});

describe("a number", () => {
  const read = (raw: string) => readConfig({ n: integer("N", undefined, { min: 1, max: 10 }) }, { N: raw }).n;

  test.each(["1", "10"])("%s is within its bounds", (raw) => {
    expect(read(raw)).toBe(Number(raw));
  });

  test.each(["0", "11", "1.5", "1e1", "0x5", " 5", "five", "NaN", "Infinity", "٣"])("%s is none", (raw) => {
    expect(() => read(raw)).toThrow(`not "${raw}"`);
  });
});

test.each(["", "70000", "-1"])("%s is no port", (raw) => {
  expect(() => readConfig({ p: port("PORT") }, { PORT: raw })).toThrow("PORT");
});

test.each([
  "postgres//user:hunter2@h/db",
  "hunter2",
  "http://user:hunter2@h/db",
  "postgres://user:hunter2@h:port/db",
])("a URL that is refused is not quoted, because it may hold a secret", (raw) => {
  try {
    readConfig({ database: url("DATABASE_URL", ["postgres"]) }, { DATABASE_URL: raw });
    expect.unreachable();
  } catch (error) {
    expect(String(error)).toContain("DATABASE_URL must be a URL");
    expect(String(error)).not.toContain("hunter2");
  }
});
