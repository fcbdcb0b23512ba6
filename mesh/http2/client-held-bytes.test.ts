import { duplexPair } from "node:stream";
import { expect, test } from "vitest";
import { ClientConnection } from "./client-connection.ts";
import { Unheard } from "./unheard.ts";

const MIB = 2 ** 20;

class Asking extends Unheard {
  hasFailed = false;
  override onFailure(): void {
    this.hasFailed = true;
  }
}

/** A client's connection whose server reads nothing, and 1 MiB to send on each of so many streams. */
function sending(streams: number, maxHeldBytes?: number) {
  const [near] = duplexPair();
  const connection = new ClientConnection(near, maxHeldBytes === undefined ? {} : { maxHeldBytes });
  const asked = Array.from({ length: streams }, () => new Asking());
  const body = Buffer.alloc(MIB);
  for (const each of asked) {
    connection.open(each, [{ name: ":method", value: "POST" }], false);
    each.send(Buffer.alloc(0), body, true);
  }
  return { connection, failed: asked.filter(({ hasFailed }) => hasFailed).length };
}

test("a client may have 100 requests of 1 MiB under way to a server that takes its time", () => {
  const { connection, failed } = sending(100);
  expect(failed).toBe(0);
  expect(connection.heldBytes).toBeGreaterThan(99 * MIB);
  connection.destroy();
  expect(connection.heldBytes).toBe(0);
});

test("it may be told to hold less, and then the streams that are too many fail", () => {
  const { connection, failed } = sending(20, 10 * MIB);
  expect(failed).toBe(10);
  expect(connection.heldBytes).toBeLessThanOrEqual(10 * MIB);
  connection.destroy();
  expect(connection.heldBytes).toBe(0);
});
