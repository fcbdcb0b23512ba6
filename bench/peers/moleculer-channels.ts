import { createRequire } from "node:module";
import { ServiceBroker } from "moleculer";

const { Middleware } = createRequire(import.meta.url)("@moleculer/channels");
const CHANNEL = "bench.events";
const GROUP = "bench";
const MAX_IN_FLIGHT = 16;

/** What is measured of Moleculer Channels on NATS JetStream. */
export interface Channels {
  /**
   * Publishes so many, so many at a time, each until the broker has it, to a service that handles so many at a time.
   * Resolves with the milliseconds until all were published, and until all were handled.
   */
  carry(
    count: number,
    inFlight: number,
    text: string,
  ): Promise<{ readonly publishedMs: number; readonly handledMs: number }>;
  close(): Promise<void>;
}

/** Opens Moleculer Channels with its own defaults on the broker at this URL. */
export async function openChannels(url: string): Promise<Channels> {
  const broker = new ServiceBroker({
    logger: false,
    middlewares: [
      Middleware({
        schemaProperty: "channels",
        sendMethodName: "sendToChannel",
        adapter: {
          type: "NATS",
          options: { nats: { url, connectionOptions: { servers: url } } },
        },
      }),
    ],
  });
  await broker.start();
  const send = (
    broker as unknown as {
      sendToChannel(channel: string, payload: unknown, options: unknown): Promise<void>;
    }
  ).sendToChannel.bind(broker);
  let handled = 0;
  let onHandled = () => {};
  // Its stream is made by the first who subscribes, so that there is one from the start.
  broker.createService({
    name: "consumer",
    channels: {
      [CHANNEL]: {
        group: GROUP,
        maxInFlight: MAX_IN_FLIGHT,
        handler: async () => {
          handled++;
          onHandled();
        },
      },
    },
  } as never);
  await broker.waitForServices("consumer");
  return {
    async carry(count, inFlight, text) {
      const beganMs = performance.now();
      const allHandled = new Promise<void>((resolve) => {
        onHandled = () => {
          if (handled >= count) resolve();
        };
      });
      let left = count;
      const work = async () => {
        while (left-- > 0) await send(CHANNEL, { text }, {});
      };
      await Promise.all(Array.from({ length: inFlight }, work));
      const publishedMs = performance.now() - beganMs;
      await allHandled;
      return { publishedMs, handledMs: performance.now() - beganMs };
    },
    close: () => broker.stop(),
  };
}
