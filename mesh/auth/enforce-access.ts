import type { DescField, DescMethod, DescService, Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { type Access, accessOf } from "../contract/access.ts";
import { methodName } from "../contract/policy.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { type Caller, claimsIdentity, OPERATOR_TOKEN_HEADER, SERVICE_TOKEN_HEADER } from "../core/caller.ts";
import { currentWork } from "../core/work.ts";
import { type AccessRefusal, accessRefusalOf } from "./access-refusal.ts";
import type { VerifyService } from "./service-tokens.ts";
import { invalidToken, type VerifyUser } from "./user-tokens.ts";

/** What enforcing needs. */
export interface EnforceOptions {
  /** Each of their methods must state who may call it. */
  readonly services: readonly DescService[];
  readonly verifyUser: VerifyUser;
  readonly verifyService: VerifyService;
  /** True if the headers of a call prove by `mesh-operator-token` that an operator calls. */
  readonly isOperator: (header: Headers) => boolean;
  /** True lets in who proves nothing, to every method. What a caller proves counts all the same. Defaults to false. */
  readonly isOpen?: boolean;
  /** Learns of each refusal. */
  readonly onRefused?: (method: DescMethod, refusal: AccessRefusal) => void;
}

/** Who calls, as far as it is proved. */
interface Proved {
  readonly user: Caller | undefined;
  readonly service: Caller | undefined;
}

const BEARER = /^bearer +([A-Za-z0-9_.~+/=-]{1,8192})$/i;

/**
 * Lets a method be called by those whom its contract names, and makes them the caller of the present work. A token that
 * proves nothing is refused wherever it comes, at public methods too: who sends it believes to be someone. So is a header that
 * claims who calls and proves nothing: whoever sends it believes, or hopes, that somebody reads it. Health and reflection ask
 * nobody. Throws if a method does not state who may call it.
 */
export function enforceAccess(options: EnforceOptions): Interceptor {
  const { verifyUser, verifyService, isOperator, isOpen = false, onRefused } = options;
  const accesses = new Map(
    options.services.flatMap(({ methods }) => methods).map((method) => [methodName(method), stated(method)]),
  );

  async function prove({ header, service }: UnaryRequest | StreamRequest): Promise<Proved> {
    const authorization = header.get("authorization");
    const token = header.get(SERVICE_TOKEN_HEADER);
    const bearer = authorization === null ? undefined : BEARER.exec(authorization)?.[1];
    if (authorization !== null && bearer === undefined) throw invalidToken();
    if (header.has(OPERATOR_TOKEN_HEADER) && !isOperator(header)) throw invalidToken();
    const [user, calling] = await Promise.all([
      bearer === undefined ? undefined : verifyUser(bearer),
      token === null ? undefined : verifyService(token, service),
    ]);
    return { user, service: calling };
  }

  function admit(method: DescMethod, access: Access, proved: Proved, header: Headers): void {
    const { user, service } = proved;
    if (access.level === "public") return;
    if (access.level === "internal") {
      if (service) return;
    } else if (user) {
      // What a person asks for is done by the person's leave, whichever service passes it on.
      if (user.kind === "operator" || access.level !== "operator") return;
    } else if (isOperator(header) || (service && access.services)) return;
    if (user || service) throw notAllowed(method);
    if (isOpen) return;
    throw refuseByMesh(MeshError.TOKEN_MISSING, `${methodName(method)} asks who calls: send a token`);
  }

  return (next) => async (request) => {
    const { method, header } = request;
    if (request.service.typeName.startsWith("grpc.")) return next(request);
    const refused = (error: unknown): never => {
      const refusal = accessRefusalOf(error);
      if (refusal) onRefused?.(method, refusal);
      throw error;
    };
    try {
      const access = accesses.get(methodName(method));
      if (!access) throw notAllowed(method);
      assertNoClaim(header);
      const proved = await prove(request);
      admit(method, access, proved, header);
      const work = currentWork();
      const caller = proved.user ?? proved.service;
      if (work && caller) work.caller = caller;
      const { ownerPath } = access;
      const { user } = proved;
      if (ownerPath && user?.kind === "customer" && !request.stream) {
        assertNames(request.message, ownerPath, method, user);
      }
      if (!request.stream) return await next(request);
      const message =
        ownerPath && user?.kind === "customer"
          ? each(request.message, (asked) => assertNames(asked, ownerPath, method, user))
          : request.message;
      const response = await next({ ...request, message } as StreamRequest);
      return response.stream ? { ...response, message: caught(response.message, refused) } : response;
    } catch (error) {
      return refused(error);
    }
  };
}

function stated(method: DescMethod): Access {
  const access = accessOf(method);
  if (!access) throw new Error(`${methodName(method)} does not state who may call it`);
  return access;
}

/** The refusal of somebody who is known, and may not do this. */
export function notAllowed(method: DescMethod) {
  return refuseByMesh(MeshError.NOT_ALLOWED, `you may not do this with ${methodName(method)}`);
}

function assertNoClaim(header: Headers): void {
  for (const [name] of header) {
    if (!claimsIdentity(name)) continue;
    throw refuseByMesh(
      MeshError.IDENTITY_FORGED,
      `${name} proves nothing: who calls is known by the token in authorization alone`,
      { metadata: { header: name } },
    );
  }
}

function assertNames(message: Message, path: readonly DescField[], method: DescMethod, { id }: Caller): void {
  if (textAt(message, path, method) !== id) throw notAllowed(method);
}

function textAt(message: Message, path: readonly DescField[], method: DescMethod): string | undefined {
  let at = reflect(method.input, message);
  for (const field of path.slice(0, -1)) {
    if (field.fieldKind !== "message" || !at.isSet(field)) return undefined;
    at = at.get(field);
  }
  const last = path.at(-1);
  return last?.fieldKind === "scalar" ? (at.get(last) as string) : undefined;
}

async function* each(messages: AsyncIterable<Message>, look: (message: Message) => void) {
  for await (const message of messages) {
    look(message);
    yield message;
  }
}

async function* caught(messages: AsyncIterable<Message>, refused: (error: unknown) => never) {
  try {
    yield* messages;
  } catch (error) {
    refused(error);
  }
}
