import { type Measured, putLoad } from "../calls/load.ts";
import { quantile } from "../calls/statistics.ts";
import type { Case } from "./cases.ts";
import { ITEMS, type Item } from "./contract.ts";
import type { Chat, Client } from "./peer.ts";

/** Something to measure, for so long. */
export interface Asked {
  readonly case: Case;
  readonly ms: number;
}

/** Measures a case with a client; `open` opens another. Undefined if the client cannot do it. */
export function measure(
  client: Client,
  open: () => Promise<Client>,
  { case: asked, ms }: Asked,
): Promise<Measured> | undefined {
  switch (asked.kind) {
    case "unary":
      return keepAsking(client, ITEMS[asked.size], asked.inFlight, ms);
    case "list":
      return client.list && readStreams(client.list, asked.messages, ms);
    case "chat":
      return client.chat && keepChatting(client.chat, asked.streams, ms);
    case "connect":
      return client.close && keepConnecting(open, asked.inFlight, ms);
  }
}

const SMALL = ITEMS["20 B"];

function assertSame(answer: Item, item: Item): void {
  if (answer.id !== item.id || answer.n !== item.n || answer.tags.length !== item.tags.length)
    throw new Error("answered something else");
}

function keepAsking(client: Client, item: Item, inFlight: number, ms: number): Promise<Measured> {
  const call = async (text: string) => {
    assertSame(await client.echo(item), item);
    return text;
  };
  return putLoad(call, { inFlight, bytes: 1, ms });
}

function keepConnecting(open: () => Promise<Client>, inFlight: number, ms: number): Promise<Measured> {
  const call = async (text: string) => {
    const client = await open();
    try {
      assertSame(await client.echo(SMALL), SMALL);
    } finally {
      await client.close?.();
    }
    return text;
  };
  return putLoad(call, { inFlight, bytes: 1, ms });
}

async function keepChatting(open: () => Chat, streams: number, ms: number): Promise<Measured> {
  const chats = Array.from({ length: streams }, open);
  const free = [...chats];
  const call = async (text: string) => {
    const chat = free.pop();
    if (!chat) throw new Error("a stream is waited for more than once");
    try {
      assertSame(await chat.say(SMALL), SMALL);
    } finally {
      free.push(chat);
    }
    return text;
  };
  try {
    return await putLoad(call, { inFlight: streams, bytes: 1, ms });
  } finally {
    for (const chat of chats) chat.close();
  }
}

/** One stream after the other, at least one; the times are of whole streams. */
async function readStreams(
  list: (count: number) => Promise<number>,
  count: number,
  ms: number,
): Promise<Measured> {
  const times: number[] = [];
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  let nowMs = startedMs;
  do {
    const came = await list(count);
    if (came !== count) throw new Error(`${came} messages came`);
    times.push(performance.now() - nowMs);
    nowMs = performance.now();
  } while (nowMs < startedMs + ms);
  const { user, system } = process.cpuUsage(cpuBefore);
  const calls = times.length * count;
  const sorted = times.toSorted((a, b) => a - b);
  return {
    calls,
    failed: 0,
    error: undefined,
    perSecond: (calls / (nowMs - startedMs)) * 1_000,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    cpuUs: user + system,
  };
}
