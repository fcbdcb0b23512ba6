import { expect, test } from "vitest";
import { Balancing } from "../gen/mesh/policy/v1/policy_pb.ts";
import { testServer } from "../mesh/testing/server.ts";
import { countable, toyClient } from "../mesh/testing/toy-client.ts";
import { until } from "../mesh/testing/until.ts";
import { freePorts } from "../tools/local/ports.ts";

const INSTANCES = 3;
const CALLERS = 12;

test("a rolling restart under load fails no call, whether it may be repeated or not, and runs each once", async () => {
  const service = countable({ service: { balancer: { policy: Balancing.ROUND_ROBIN } } });
  const ran = new Map<string, number>();
  const handle = ({ text }: { text: string }) => {
    ran.set(text, (ran.get(text) ?? 0) + 1);
    return new Promise<{ text: string }>((resolve) => setImmediate(() => resolve({ text })));
  };
  const start = (port: number) => testServer(service, { ask: handle, order: handle }, { port });
  // Ports that no outgoing connection takes while nobody listens there.
  const servers = await Promise.all((await freePorts(INSTANCES)).map(start));
  const client = toyClient(
    "grpc",
    service,
    servers.map(({ endpoint }) => endpoint),
  );

  const problems: string[] = [];
  let answered = 0;
  let isOver = false;
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let call = 0; !isOver; call++) {
      const text = `${caller}/${call}`;
      try {
        // Of an order nothing is known that would let it be repeated once a handler may have seen it.
        const answer = await (caller % 2 ? client.ask({ text }) : client.order({ text }));
        if (answer.text !== text) problems.push(`${answer.text} for ${text}`);
      } catch (error) {
        problems.push(String(error));
      }
      answered++;
    }
  });

  const more = async (calls: number) => {
    const from = answered;
    await until(() => answered - from >= calls);
  };
  await more(200);
  for (let round = 0; round < 2; round++) {
    for (const [i, server] of servers.entries()) {
      await server.stop();
      await more(50);
      servers[i] = await start(server.port);
      await more(200);
    }
  }
  isOver = true;
  await Promise.all(callers);
  expect(problems).toEqual([]);
  const orders = [...ran].filter(([text]) => Number(text.split("/")[0]) % 2 === 0);
  expect(orders.length).toBeGreaterThan(1_000 / 2);
  expect(orders.filter(([, times]) => times > 1)).toEqual([]);
});
