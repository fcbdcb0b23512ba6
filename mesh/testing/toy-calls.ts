import {
  create,
  createFileRegistry,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
  MethodOptionsSchema,
  ServiceOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import {
  type Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import {
  MethodPolicySchema,
  method as methodOption,
  ServicePolicySchema,
  service as serviceOption,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { MESH_DOMAIN } from "../contract/reasons.ts";
import type { Clock } from "../core/clock.ts";
import type { ManualClock } from "./clock.ts";

/** A policy as a test states it. */
export type StatedPolicy = Omit<MessageInitShape<typeof MethodPolicySchema>, "$typeName">;

/** A service's policy as a test states it. */
export type StatedServicePolicy = Omit<MessageInitShape<typeof ServicePolicySchema>, "$typeName">;

/** What a test says of a method of its contract. */
export interface ToyMethod {
  /** Defaults to a unary one. */
  readonly streams?: "client" | "server" | "both";
  /** Defaults to none: a method of which nothing is known. */
  readonly idempotency?: "IDEMPOTENT" | "NO_SIDE_EFFECTS";
  readonly policy?: StatedPolicy;
}

/** The request of every toy method: `toy_id`, `request_id`, and `n`, which is no text. */
export type ToyRequest = Message & { toyId: string; requestId: string; n: number };

/** The response of every toy method. */
export type ToyResponse = Message & { text: string };

let count = 0;

/** Makes the contract of a service whose name nothing else has, with the policies that it states. */
export function toyContract(
  methods: Readonly<Record<string, ToyMethod>>,
  policy?: StatedServicePolicy,
): DescService {
  const typePackage = `test.policies${++count}.v1`;
  const options = create(ServiceOptionsSchema);
  if (policy) setExtension(options, serviceOption, create(ServicePolicySchema, policy));
  const file = create(FileDescriptorProtoSchema, {
    name: `test/policies${count}/v1/calls.proto`,
    package: typePackage,
    syntax: "proto3",
    messageType: [
      {
        name: "ToyRequest",
        field: [
          field("toy_id", 1, FieldDescriptorProto_Type.STRING),
          field("request_id", 2, FieldDescriptorProto_Type.STRING),
          field("n", 3, FieldDescriptorProto_Type.INT32),
        ],
      },
      { name: "ToyResponse", field: [field("text", 1, FieldDescriptorProto_Type.STRING)] },
    ],
    service: [
      {
        name: "ToyService",
        options,
        method: Object.entries(methods).map(([name, toy]) => ({
          name,
          inputType: `.${typePackage}.ToyRequest`,
          outputType: `.${typePackage}.ToyResponse`,
          clientStreaming: toy.streams === "client" || toy.streams === "both",
          serverStreaming: toy.streams === "server" || toy.streams === "both",
          options: methodOptions(toy),
        })),
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  return registry.getService(`${typePackage}.ToyService`) as DescService;
}

/** The contract of one method, which defaults to an idempotent unary one. */
export function toyMethod(
  policy: StatedPolicy = {},
  rest: Omit<ToyMethod, "policy"> & {
    readonly service?: StatedServicePolicy;
  } = { idempotency: "IDEMPOTENT" },
): DescMethod {
  const { service, ...toy } = rest;
  return methodNamed(toyContract({ Get: { policy, ...toy } }, service), "Get");
}

/** The method of this name. */
export function methodNamed(service: DescService, name: string): DescMethod {
  const method = service.methods.find((each) => each.name === name);
  if (!method) throw new Error(`${service.typeName} has no method ${name}`);
  return method;
}

function methodOptions({ idempotency, policy }: ToyMethod) {
  const options = create(MethodOptionsSchema);
  if (idempotency) options.idempotencyLevel = MethodOptions_IdempotencyLevel[idempotency];
  if (policy) setExtension(options, methodOption, create(MethodPolicySchema, policy));
  return options;
}

function field(name: string, number: number, type: FieldDescriptorProto_Type) {
  return { name, number, type, label: FieldDescriptorProto_Label.OPTIONAL };
}

/** What a request carries beside its method. */
export interface ToyCall {
  readonly message?: Partial<Pick<ToyRequest, "toyId" | "requestId" | "n">>;
  readonly header?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly contextValues?: ContextValues;
  readonly url?: string;
}

/** A unary request as interceptors see it. */
export function unaryRequest(method: DescMethod, call: ToyCall = {}): UnaryRequest {
  const message = create(method.input, call.message as Record<string, unknown>);
  return { ...begun(method, call), stream: false, message } as UnaryRequest;
}

/** A request of a stream as interceptors see it. Without messages it is that of a server stream: one message. */
export function streamRequest(
  method: DescMethod,
  call: ToyCall & { readonly messages?: AsyncIterable<ToyRequest> } = {},
): StreamRequest {
  const one = messagesOf([create(method.input, call.message as Record<string, unknown>) as ToyRequest]);
  return { ...begun(method, call), stream: true, message: call.messages ?? one } as StreamRequest;
}

function begun(method: DescMethod, { header, signal, contextValues, url }: ToyCall) {
  return {
    service: method.parent,
    method,
    requestMethod: "POST",
    url: url ?? `http://toys/${method.parent.typeName}/${method.name}`,
    header: new Headers(header),
    signal: signal ?? new AbortController().signal,
    contextValues: contextValues ?? createContextValues(),
  };
}

/** The answer to a unary request. */
export function unaryAnswer(
  { method }: { readonly method: DescMethod },
  text = "",
  trailer: Readonly<Record<string, string>> = {},
): UnaryResponse {
  const message = create(method.output, { text } as Record<string, unknown>);
  const header = new Headers();
  return {
    stream: false,
    service: method.parent,
    method,
    header,
    trailer: new Headers(trailer),
    message,
  } as UnaryResponse;
}

/** The answer to the request of a stream. */
export function streamAnswer(
  { method }: { readonly method: DescMethod },
  messages: AsyncIterable<ToyResponse>,
): StreamResponse {
  const answer = { ...unaryAnswer({ method }), stream: true as const, message: messages };
  return answer as unknown as StreamResponse;
}

/** Messages that are there, and then the end or an error. */
export async function* messagesOf<T>(messages: readonly T[], error?: unknown): AsyncGenerator<T> {
  yield* messages;
  if (error !== undefined) throw error;
}

/** The text of a unary answer. */
export function textOf(response: UnaryResponse | StreamResponse): string {
  if (response.stream) throw new Error("a stream has no one text");
  return (response.message as ToyResponse).text;
}

/** The error that a server of the mesh answers with: a code, the mesh's reason for it, and headers such as a pushback. */
export function statusError(
  code: Code,
  { reason, ...header }: { readonly reason?: string; readonly [header: string]: string | undefined } = {},
): ConnectError {
  const info =
    reason === undefined ? [] : [{ desc: ErrorInfoSchema, value: { reason, domain: MESH_DOMAIN } }];
  return new ConnectError("the server says so", code, header as Record<string, string>, info);
}

/** The policies around what makes the call, the first outermost. */
export function through<R extends UnaryRequest | StreamRequest>(
  interceptors: readonly Interceptor[],
  next: (request: R) => Promise<UnaryResponse | StreamResponse>,
): (request: R) => Promise<UnaryResponse | StreamResponse> {
  const all = interceptors.reduceRight(
    (inner, interceptor) => interceptor(inner),
    next as Parameters<Interceptor>[0],
  );
  return all as (request: R) => Promise<UnaryResponse | StreamResponse>;
}

/** How an attempt goes: it answers with a text, fails with an error, or never ends by itself; after a while, if it says so. */
export type Step = (
  | { readonly answer: string }
  | { readonly error: unknown }
  | { readonly never: true }
  | { readonly stream: (request: StreamRequest) => AsyncIterable<ToyResponse> }
) & { readonly afterMs?: number };

/** What a script saw of an attempt. */
export interface Seen {
  readonly atMs: number;
  readonly request: UnaryRequest | StreamRequest;
  /** Its headers when it was sent. */
  readonly header: Readonly<Record<string, string>>;
}

/**
 * What stands below the policies: each attempt goes as its step says, and the last step repeats. An attempt whose
 * signal aborts rejects with the signal's reason, as a transport does.
 */
export function scripted(clock: Clock, steps: readonly Step[]) {
  const seen: Seen[] = [];
  async function next(request: UnaryRequest | StreamRequest): Promise<UnaryResponse | StreamResponse> {
    const step = steps[Math.min(seen.length, steps.length - 1)] ?? { never: true };
    seen.push({ atMs: clock.now(), request, header: Object.fromEntries(request.header) });
    if (step.afterMs !== undefined || "never" in step) {
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const abort = () => reject(request.signal.reason);
      if (request.signal.aborted) abort();
      request.signal.addEventListener("abort", abort, { once: true });
      const { promise: due, resolve } = Promise.withResolvers<void>();
      const cancel = step.afterMs === undefined ? () => {} : clock.after(step.afterMs, resolve);
      try {
        await Promise.race([due, aborted]);
      } finally {
        cancel();
        request.signal.removeEventListener("abort", abort);
      }
    }
    if ("error" in step) throw step.error;
    if ("stream" in step) return streamAnswer(request, step.stream(request as StreamRequest));
    return unaryAnswer(request, "answer" in step ? step.answer : "");
  }
  return {
    next,
    seen,
    /** When each attempt was sent. */
    times: () => seen.map(({ atMs }) => atMs),
  };
}

/** Resolves when all that can happen without time passing has happened. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Lets time pass, a millisecond at a time, so that what one timer begins another can end. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  await settled();
  for (let passed = 0; passed < ms; passed++) {
    clock.advance(1);
    await settled();
  }
}

/** How a promise ended, and when. */
export interface Ended<T> {
  readonly value?: T;
  readonly error?: unknown;
  readonly atMs: number;
}

/** Lets time pass until the promise ends, for so many milliseconds at most. */
export async function ended<T>(
  clock: ManualClock,
  promise: Promise<T>,
  withinMs = 15_000,
): Promise<Ended<T>> {
  let end: Ended<T> | undefined;
  promise.then(
    (value) => {
      end = { value, atMs: clock.now() };
    },
    (error: unknown) => {
      end = { error, atMs: clock.now() };
    },
  );
  await settled();
  for (let passed = 0; !end; passed++) {
    if (passed > withinMs) throw new Error(`it has not ended within ${withinMs} ms`);
    clock.advance(1);
    await settled();
  }
  return end;
}

/** True if no timer runs and nobody sleeps on this clock. */
export async function isQuiet(clock: ManualClock): Promise<boolean> {
  return Promise.race([clock.whenSleeping(0).then(() => true), settled().then(() => false)]);
}
