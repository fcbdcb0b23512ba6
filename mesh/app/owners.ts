import type { Interceptor } from "@connectrpc/connect";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { MeshError, MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { eventContract } from "../contract/event.ts";
import { reasonName } from "../contract/reasons.ts";
import type { EventHandler } from "../events/handlers.ts";
import type { AskResend } from "../events/lost-history.ts";
import { meshClient, type OpenTarget, openTarget } from "../rpc/client/client.ts";
import { reasonOf } from "../rpc/errors.ts";
import type { Parts } from "./parts.ts";

const GONE = reasonName(MeshErrorSchema, MeshError.EVENT_NOT_FOUND);

/** The ways to those who own the events that a service handles, each opened when it is first needed. */
export interface Owners {
  /** The way to a service, by its name. */
  wayTo(owner: string): OpenTarget;
  /** Asks the owner of what these handlers handle. Undefined if they take whatever comes by: then nobody counts on an order. */
  askFor(handlers: readonly EventHandler[]): AskResend | undefined;
  /** Lets the connections go. */
  close(): void;
}

/**
 * Finds owners in the registry, which is at the broker, as their events are, and asks them as operators do.
 */
export function ownersOf({ clients, config }: Pick<Parts, "clients" | "config">): Owners {
  const targets = new Map<string, OpenTarget>();

  const asOperator: Interceptor = (next) => (request) => {
    request.header.set("mesh-operator-token", config.operatorToken);
    return next(request);
  };

  function wayTo(owner: string): OpenTarget {
    const known = targets.get(owner);
    if (known) return known;
    const opened = openTarget(
      { target: { scheme: "nats", service: owner }, protocol: "grpc", service: OutboxAdminService },
      { ...clients, interceptors: [...(clients.interceptors ?? []), asOperator] },
    );
    targets.set(owner, opened);
    return opened;
  }

  return {
    wayTo,
    askFor(handlers) {
      // A subscription is of one aggregate, and that has one owner.
      const schema = handlers.find((handler) => handler.schema)?.schema;
      if (!schema) return undefined;
      const { owner } = eventContract(schema);
      return async ({ stream, key, fromSeq, toSeq }) => {
        try {
          await meshClient(OutboxAdminService, wayTo(owner)).resend({ stream, key, fromSeq, toSeq });
          return true;
        } catch (error) {
          if (reasonOf(error)?.reason === GONE) return false;
          throw error;
        }
      };
    },
    close() {
      for (const target of targets.values()) target.close();
    },
  };
}
