import { expect, test } from "vitest";
import { formatTarget } from "../../mesh/discovery/target.ts";
import { readSettings } from "./config.ts";

const NEEDED = { DATABASE_URL: "postgres://u:p@db/review", NATS_URL: "nats://broker", MESH_AUTH: "off" };

test("both instances of product are called over the Connect protocol if nothing else is said", () => {
  const { port, productTarget, productTransport } = readSettings(NEEDED);
  expect(port).toBe(50052);
  expect(formatTarget(productTarget)).toBe("static:///127.0.0.1:50051,127.0.0.1:50151");
  expect(productTransport).toBe("connect");
});

test("what is wrong with the way to product is said together", () => {
  const env = { ...NEEDED, PRODUCT_TARGET: "product:50051", PRODUCT_TRANSPORT: "soap" };
  expect(() => readSettings(env)).toThrow(
    [
      "the settings have 2 problem(s):",
      '  - PRODUCT_TARGET must begin with static:///, dns:/// or nats:///, not "product:50051"',
      '  - PRODUCT_TRANSPORT must be one of grpc, connect, not "soap"',
    ].join("\n"),
  );
});
