import type { IncomingMessage, ServerResponse } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
  createClient,
  createConnectRouter,
  createContextValues,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { ServicePolicySchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { type Policies, policies } from "../../mesh/contract/policy.ts";
import { systemClock } from "../../mesh/core/clock.ts";
import { readConfig } from "../../mesh/core/config.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { breaker } from "../../mesh/resilience/breaker.ts";
import { bulkhead } from "../../mesh/resilience/bulkhead.ts";
import { asPartOf, callOf } from "../../mesh/resilience/call.ts";
import { circuitBreaker } from "../../mesh/resilience/circuit-breaker.ts";
import { limitCalls } from "../../mesh/resilience/limit-calls.ts";
import { meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { type ServerStack, serverStack } from "../../mesh/rpc/server/server-stack.ts";
import { openTelemetry } from "../../mesh/telemetry/open-telemetry.ts";
import { refusalTelemetry, serverTelemetry } from "../../mesh/telemetry/server-telemetry.ts";
import { telemetrySettings } from "../../mesh/telemetry/settings.ts";
import type { Telemetry } from "../../mesh/telemetry/telemetry.ts";
import { WIDE } from "../weft/admission.ts";
import { EchoService, TIMEOUT_MS } from "./contract.ts";
import { HOST } from "./peer.ts";
import { quantile } from "./statistics.ts";

/** What our layers cost, with no wire below them: microseconds, but nanoseconds for `breakerNs`. */
export interface Costs {
  /** A call of a client over a transport that answers at once, the same below the client stack, and the difference. */
  readonly clientBareUs: number;
  readonly clientStackUs: number;
  readonly clientAddedUs: number;
  /** A call of the bare handler of connect-node, the same with the server stack, and the difference. */
  readonly serverBareUs: number;
  readonly serverStackUs: number;
  readonly serverAddedUs: number;
  /** What the metrics of a service add to both stacks, with its settings left at their defaults. */
  readonly clientTelemetryUs: number;
  readonly serverTelemetryUs: number;
  /** One acquire and one record. */
  readonly breakerNs: number;
  /** The layer that refuses, alone. */
  readonly bulkheadFullUs: number;
  readonly breakerOpenUs: number;
  /** From the client's call to its catch. */
  readonly callBulkheadFullUs: number;
  readonly callBreakerOpenUs: number;
  /** A call that a server with too much to do refuses by its headers, from those to what it answers. */
  readonly shedUs: number;
}

// Short turns, and many, so that some are left alone by what else the machine does.
const AT_ONCE = 64;
const CALLS = 32 * AT_ONCE;
const BREAKER_TURNS = 50_000;
const WARM_UP_TURNS = 8;
const TURNS = 40;
const TEXT = "x".repeat(20);

const method = EchoService.method.echo;
/**
 * Measures each cost many times, in turn with what it is compared to, and takes the lower quartiles: what else the machine
 * does in the meantime only ever adds, and adds to some turns more than to others.
 */
export async function inProcessCosts(): Promise<Costs> {
  const telemetry = openTelemetry(readConfig(telemetrySettings, {}), { service: "bench", instance: "1" });
  const server = serverCalls(telemetry);
  const serverCosts = await quartiles({
    serverBareUs: () => usPerCall(server.bare),
    serverStackUs: () => usPerCall(server.stack),
    serverMeasuredUs: () => usPerCall(server.measured),
    shedUs: () => usPerCall(server.shed),
  });
  server.stop();
  const client = await clientCalls(telemetry);
  const clientCosts = await quartiles({
    clientBareUs: () => usPerCall(client.bare),
    clientStackUs: () => usPerCall(client.stack),
    clientMeasuredUs: () => usPerCall(client.measured),
  });
  const refusals = layerRefusals();
  const partCosts = await quartiles({
    breakerNs: async () => breakerNs(),
    bulkheadFullUs: () => usPerCall(refusals.bulkheadFull),
    breakerOpenUs: () => usPerCall(refusals.breakerOpen),
    callBulkheadFullUs: () => usPerCall(client.bulkheadFull),
    callBreakerOpenUs: () => usPerCall(client.breakerOpen),
  });
  await telemetry.close();
  const { serverMeasuredUs, ...ofServer } = serverCosts;
  const { clientMeasuredUs, ...ofClient } = clientCosts;
  return {
    ...ofServer,
    serverAddedUs: ofServer.serverStackUs - ofServer.serverBareUs,
    serverTelemetryUs: serverMeasuredUs - ofServer.serverStackUs,
    ...ofClient,
    clientAddedUs: ofClient.clientStackUs - ofClient.clientBareUs,
    clientTelemetryUs: clientMeasuredUs - ofClient.clientStackUs,
    ...partCosts,
  };
}

/** Of each measurement by itself; they take their turns. */
async function quartiles<Name extends string>(
  measurements: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(measurements) as Name[];
  const measured = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let turn = 0; turn < WARM_UP_TURNS + TURNS; turn++) {
    for (const name of names) {
      const value = await measurements[name]();
      if (turn >= WARM_UP_TURNS) measured.get(name)?.push(value);
    }
  }
  const quartile = (values: readonly number[] = []) =>
    quantile(
      values.toSorted((a, b) => a - b),
      0.25,
    );
  return Object.fromEntries(names.map((name) => [name, quartile(measured.get(name))])) as Record<
    Name,
    number
  >;
}

/** Microseconds of CPU of one call, of many that begin together, turn after turn of the event loop. */
async function usPerCall(call: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let done = 0; done < CALLS; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, call));
    await new Promise(setImmediate);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS;
}

function breakerNs(): number {
  const closed = breaker(policies().service(EchoService).breaker, { clock: systemClock });
  const before = process.cpuUsage();
  for (let i = 0; i < BREAKER_TURNS; i++) closed.acquire()?.record("SUCCESS", 1);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / BREAKER_TURNS;
}

const HANGS = "hangs";

/** Answers at once, but never to a request that is to hang. */
const atOnce: Transport = {
  unary(called, _signal, _timeoutMs, header, input, _contextValues) {
    const request = create(called.input, input) as { text?: string };
    if (request.text === HANGS) return new Promise(() => {});
    const message = create(called.output, request as never);
    const answer = { stream: false, service: called.parent, method: called, message };
    return Promise.resolve({
      ...answer,
      header: new Headers(header),
      trailer: new Headers(),
    } as UnaryResponse<typeof called.input, typeof called.output>);
  },
  stream: () => Promise.reject(new Error("nobody streams here")),
};

async function clientCalls(telemetry: Telemetry) {
  const options = { timeoutMs: TIMEOUT_MS };
  const bare = createClient(EchoService, atOnce);
  const stack = await clientOver(policies());
  const measured = await clientOver(policies(), telemetry);
  const forEver = { timeout: durationFromMs(3_600_000) };
  const one = { bulkhead: { maxConcurrent: 1, maxQueue: 0 }, defaults: forEver };
  const narrow = await clientOver(
    policies({ methods: {}, services: { [EchoService.typeName]: create(ServicePolicySchema, one) } }),
  );
  narrow.client.echo({ text: HANGS }, { timeoutMs: 3_600_000 }).catch(() => {});
  const broken = await clientOver(policies());
  broken.endpoint.breaker.order("FORCED_OPEN");
  return {
    bare: () => bare.echo({ text: TEXT }, options),
    stack: () => stack.client.echo({ text: TEXT }, options),
    measured: () => measured.client.echo({ text: TEXT }, options),
    bulkheadFull: () => refused("BULKHEAD_FULL", narrow.client.echo({ text: TEXT }, options)),
    breakerOpen: () => refused("BREAKER_OPEN", broken.client.echo({ text: TEXT }, options)),
  };
}

/** The client as services have it, with the transport of its only endpoint replaced. */
async function clientOver(policies: Policies, telemetry?: Telemetry) {
  const target = openTarget(
    {
      target: { scheme: "static", endpoints: [{ host: HOST, port: 1 }] },
      protocol: "grpc",
      service: EchoService,
    },
    { policies, watchesHealth: false, ...(telemetry && { telemetry }) },
  );
  await new Promise(setImmediate);
  const [endpoint] = target.state.endpoints.all();
  if (!endpoint) throw new Error("the target has no endpoint");
  Object.assign(endpoint, { transport: { ...atOnce, close() {} } });
  return { client: meshClient(EchoService, target), endpoint };
}

/** The layers that refuse, alone. */
function layerRefusals() {
  const never = () => Promise.reject(new Error("it was let through"));
  const bare = {
    stream: false,
    service: EchoService,
    method,
    message: create(method.input, { text: TEXT }),
    header: new Headers(),
    signal: new AbortController().signal,
    contextValues: createContextValues(),
  } as unknown as UnaryRequest;
  // As the layers above hand it down.
  const request = asPartOf(bare, callOf(bare, {}));
  const full = bulkhead({ maxConcurrent: 1, maxQueue: 0 }, systemClock);
  full.enter(TIMEOUT_MS, request.signal);
  const open = breaker(policies().service(EchoService).breaker, { clock: systemClock });
  open.order("FORCED_OPEN");
  const bulkheadFull = limitCalls({ bulkheadOf: () => full })(never);
  const breakerOpen = circuitBreaker({ breakerOf: () => open })(never);
  return {
    bulkheadFull: () => refused("BULKHEAD_FULL", bulkheadFull(request)),
    breakerOpen: () => refused("BREAKER_OPEN", breakerOpen(request)),
  };
}

async function refused(why: string, call: Promise<unknown>): Promise<void> {
  let failure: unknown;
  try {
    await call;
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof Error)) throw new Error(`${why}: it was not refused`);
}

function serverCalls(telemetry: Telemetry) {
  const echo = ({ text }: { text: string }) => ({ text });
  const offer = (options: ConnectRouterOptions) =>
    handlerOf(createConnectRouter(options).service(EchoService, { echo }));
  const bare = offer({});
  const options = { services: [EchoService], log: silentLog, admission: WIDE };
  const { signal } = new AbortController();
  const plain = serverStack(options, signal);
  const measured = serverStack(
    {
      ...options,
      telemetry: serverTelemetry(telemetry),
      onEarlyRefusal: refusalTelemetry(telemetry),
      sampler: telemetry.sampler,
    },
    signal,
  );
  // Sheds whatever is not CRITICAL_PLUS.
  const late = serverStack({ ...options, admission: { ...WIDE, loopDelayMs: () => 600 } }, signal);
  const through = ({ early, interceptors }: ServerStack) => {
    const stacked = offer({ interceptors });
    return () => {
      // As a port has it: its headers are read before Connect sees it.
      const request = arriving(bare.requestPath, HEADERS);
      if (early.refuses(request, UNREAD)) throw new Error("it was refused");
      return callHandler(stacked, early.contextValues(request));
    };
  };
  return {
    bare: () => callHandler(bare, createContextValues()),
    stack: through(plain),
    measured: through(measured),
    async shed() {
      if (!late.early.refuses(arriving(bare.requestPath, GRPC_HEADERS), UNREAD))
        throw new Error("it was let through");
    },
    stop() {
      for (const { stop } of [plain, measured, late]) stop();
    },
  };
}

function arriving(url: string, headers: Readonly<Record<string, string>>): IncomingMessage {
  return { url, method: "POST", httpVersionMajor: 2, headers } as unknown as IncomingMessage;
}

/** An answer that goes nowhere. */
const UNREAD = { setHeader() {}, end() {} } as unknown as ServerResponse;

// The Connect protocol, because the handler's own part is small in it: that of gRPC is many times what is to be measured,
// and most of it is garbage.
const HEADERS = { "content-type": "application/proto", "connect-timeout-ms": String(TIMEOUT_MS) };
const GRPC_HEADERS = { "content-type": "application/grpc", "grpc-timeout": `${TIMEOUT_MS}m` };
const BODY = toBinary(method.input, create(method.input, { text: TEXT }));

function handlerOf({ handlers }: ConnectRouter): UniversalHandler {
  const path = `/${EchoService.typeName}/${method.name}`;
  const handler = handlers.find(({ requestPath }) => requestPath === path);
  if (!handler) throw new Error(`nobody handles ${path}`);
  return handler;
}

async function callHandler(handler: UniversalHandler, contextValues: ContextValues): Promise<void> {
  const { status, body: answer } = await handler({
    httpVersion: "2.0",
    url: `http://${HOST}${handler.requestPath}`,
    method: "POST",
    header: new Headers(HEADERS),
    body: once(BODY),
    signal: new AbortController().signal,
    contextValues,
  });
  let size = 0;
  for await (const bytes of answer ?? []) size += bytes.byteLength;
  if (status !== 200) throw new Error(`status ${status}`);
  if (size !== BODY.byteLength) throw new Error("answered something else");
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
