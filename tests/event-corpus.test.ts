import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DescMessage, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConsumerService } from "../gen/mesh/admin/v1/consumer_pb.ts";
import { DeadLetterService } from "../gen/mesh/admin/v1/dead_letter_pb.ts";
import { AuditService } from "../gen/shop/audit/v1/audit_service_pb.ts";
import { Template } from "../gen/shop/notification/v1/notification_pb.ts";
import { NotificationService } from "../gen/shop/notification/v1/notification_service_pb.ts";
import { eventContract, isContracted } from "../mesh/contract/event.ts";
import { subjectOf } from "../mesh/events/subject.ts";
import { editedContracts } from "../mesh/testing/edited-contracts.ts";
import { type ServiceName, startSystem } from "../services/run.ts";
import { promisedImages } from "../tools/contracts/contract-images.ts";
import { messagesOf } from "../tools/contracts/plugin/contracts.ts";
import { readImage } from "../tools/contracts/release/read-image.ts";
import { resetSystem } from "../tools/local/reset.ts";
import type { System } from "../tools/local/system.ts";
import { checkout } from "./contract-copy.ts";
import { eventually } from "./shop.ts";
import {
  type RecordedEvent,
  recordedEvents,
  recordedReleases,
  releaseOf,
  typeOf,
} from "./time-travel/corpus.ts";

const today = editedContracts();
const releases = promisedImages(checkout).map((image) => ({
  release: releaseOf(image),
  contracts: readImage(join(checkout, image)),
}));

// Field 900, a text: "later". No release has it.
const FROM_TOMORROW = [0xa2, 0x38, 0x05, ...Buffer.from("later")];

function schemaOf(event: RecordedEvent): DescMessage {
  const schema = today.registry.getMessage(typeOf(event));
  if (!schema) throw new Error(`there is no ${typeOf(event)} any more`);
  return schema;
}

const bytesOf = ({ data }: RecordedEvent) => new Uint8Array(Buffer.from(data, "base64"));

test("the events of every release are recorded; if not, run `make corpus`", () => {
  expect(recordedReleases(checkout)).toEqual(expect.arrayContaining(releases.map(({ release }) => release)));
});

describe.each(releases)("the events of $release", ({ release, contracts }) => {
  const events = recordedEvents(checkout, release);

  test("are of every type that its shop publishes when nothing fails for good", () => {
    const types = messagesOf(contracts).filter(
      (message) => isContracted(message) && eventContract(message).stream.startsWith("EVT_"),
    );
    const missing = types
      .map(({ typeName }) => typeName)
      .filter((type) => !events.some((event) => typeOf(event) === type));
    expect(missing.filter((type) => type !== "shop.notification.v1.NotificationFailed")).toEqual([]);
  });

  test("are what they were to whoever reads them today, under the subject that today's contract gives them", () => {
    for (const event of events) {
      const schema = schemaOf(event);
      const message = fromBinary(schema, bytesOf(event));
      expect(message.$unknown ?? []).toEqual([]);
      expect(Buffer.from(toBinary(schema, message)).toString("base64")).toBe(event.data);
      expect(event.subject).toBe(subjectOf(eventContract(schema), event.headers["ce-partitionkey"] ?? ""));
    }
  });

  test("and those of today can be read by its contracts, which pass on what they do not know", () => {
    const newest = recordedEvents(checkout, releases.at(-1)?.release ?? "");
    const readable = newest.filter((event) => contracts.registry.getMessage(typeOf(event)));
    expect(readable.length).toBeGreaterThan(20);
    for (const event of readable) {
      const then = contracts.registry.getMessage(typeOf(event)) as DescMessage;
      const said = Uint8Array.from([...bytesOf(event), ...FROM_TOMORROW]);
      const passedOn = toBinary(then, fromBinary(then, said));
      const schema = schemaOf(event);
      expect(
        equals(schema, fromBinary(schema, passedOn), fromBinary(schema, said), {
          registry: today.registry,
          unknown: true,
        }),
      ).toBe(true);
    }
  });

  describe("handled by the services of today", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "weft-corpus-"));
    let system: System<ServiceName>;

    beforeAll(async () => {
      system = await startSystem({ ports: "free", dataDir, env: { SEED: "none" } });
      const connection = await connect({ servers: system.natsUrl });
      const streams = jetstream(connection);
      // Services make their streams when the broker is there, which nobody waits for at their start.
      const manager = await jetstreamManager(connection);
      for (const name of new Set(events.map(({ stream }) => stream)))
        await eventually(() => manager.streams.info(name), 60_000);
      // What services publish for these events goes into the stream of notifications: what is recorded goes first.
      const order = [...events].sort(
        (a, b) => Number(b.stream === "EVT_NOTIFICATION") - Number(a.stream === "EVT_NOTIFICATION"),
      );
      for (const event of order) {
        const headers = natsHeaders();
        for (const [name, value] of Object.entries(event.headers)) headers.set(name, value);
        const { seq } = await streams.publish(event.subject, bytesOf(event), { headers });
        // Events name the places of those before them in their stream.
        expect(seq).toBe(event.seq);
      }
      await connection.close();
    }, 120_000);
    afterAll(async () => {
      await system?.stop();
      await resetSystem(dataDir, () => {});
      rmSync(dataDir, { recursive: true, force: true });
    }, 60_000);

    const client = <S extends Parameters<typeof createClient>[0]>(service: S, name: ServiceName) =>
      createClient(service, createGrpcTransport({ baseUrl: `http://${system.address(name)}` }));

    test("each is in the archive, and says there what it said", { timeout: 120_000 }, async () => {
      const audit = client(AuditService, "audit");
      for (const event of events) {
        const { event: kept } = await eventually(
          () => audit.getEvent({ eventId: event.headers["ce-id"] ?? "" }),
          60_000,
        );
        expect(kept).toMatchObject({
          type: typeOf(event),
          subject: event.subject,
          payload: { case: "content" },
        });
      }
    });

    test("every consumer comes to its end, and gives none of them up", { timeout: 120_000 }, async () => {
      await eventually(async () => {
        const { consumers } = await client(ConsumerService, "audit").listConsumers({});
        expect(consumers.length).toBeGreaterThan(10);
        expect(consumers.filter(({ lag }) => lag > 0n).map(({ name }) => name)).toEqual([]);
      }, 90_000);
      const { total, counts } = await client(DeadLetterService, "audit").countDeadLetters({});
      expect({ total, counts }).toEqual({ total: 0n, counts: [] });
    });

    test("each order that ended or was paid back is written to its customer about, once", {
      timeout: 120_000,
    }, async () => {
      const ended = {
        OrderConfirmed: Template.ORDER_CONFIRMED,
        OrderRejected: Template.ORDER_REJECTED,
        OrderCancelled: Template.ORDER_CANCELLED,
        PaymentRefunded: Template.PAYMENT_REFUNDED,
      };
      const wanted = events.flatMap((event) => {
        const template = ended[typeOf(event).split(".").at(-1) as keyof typeof ended];
        return template === undefined ? [] : [`${event.headers["ce-subject"]} ${template}`];
      });
      const notifications = client(NotificationService, "notification");
      const found = await eventually(async () => {
        const pages = await Promise.all(
          ["cust-ada", "cust-grace"].map((customerId) =>
            notifications.listNotifications({ customerId, pageSize: 100 }),
          ),
        );
        const about = pages.flatMap((page) => page.notifications).filter(({ data }) => data.order_id);
        if (about.length < wanted.length)
          throw new Error(`${about.length} of ${wanted.length} mails are there`);
        return about.map(({ data, template }) => `${data.order_id} ${template}`);
      }, 60_000);
      expect(found.sort()).toEqual(wanted.sort());
    });
  });
});
