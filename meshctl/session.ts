import type { DescMessage, DescService, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import type { Client, Interceptor } from "@connectrpc/connect";
import type { Env } from "../mesh/core/config.ts";
import { formatTarget } from "../mesh/discovery/target.ts";
import { meshClient, type OpenTarget, openTarget } from "../mesh/rpc/client/client.ts";
import { formatTable } from "../tools/local/table.ts";
import { targetOf, targetSetting } from "./targets.ts";

/** What a run of the program is given. */
export interface Surroundings {
  readonly env: Env;
  /** Who runs it. */
  readonly user: string;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** Where text goes. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** One run: whom it asks, and how it answers. */
export class Session {
  readonly env: Env;
  readonly user: string;
  /** True if the answers are for programs. */
  isJson = false;
  /** Whom it asked last. */
  asked: { readonly target: string; readonly setting: string } | undefined;
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #targets = new Map<string, OpenTarget>();
  #progress = "";

  constructor({ env, user, stdout, stderr }: Surroundings) {
    this.env = env;
    this.user = user;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** A client of what a service offers. Its connections last until {@link close}. */
  client<S extends DescService>(contract: S, service = "audit"): Client<S> {
    const target = targetOf(service, this.env);
    const open =
      this.#targets.get(service) ??
      openTarget(
        { target, protocol: "grpc", service: contract },
        { watchesHealth: false, interceptors: [this.asOperator] },
      );
    this.#targets.set(service, open);
    this.asked = { target: `${service} at ${formatTarget(target)}`, setting: targetSetting(service) };
    return meshClient(contract, open);
  }

  /** Shows what operators show. */
  readonly asOperator: Interceptor = (next) => (request) => {
    const token = this.env.MESH_OPERATOR_TOKEN;
    if (token) request.header.set("mesh-operator-token", token);
    return next(request);
  };

  /** A part of the answer. */
  write(text: string): void {
    this.#stdout.write(text);
  }

  /** A line of the answer. */
  say(line: string): void {
    this.write(`${line}\n`);
  }

  /** The answer as JSON, in one line. */
  json(value: JsonValue): void {
    this.say(JSON.stringify(value));
  }

  /** The answer as a message: the table for people, the JSON of the contract for programs. */
  answer<T extends DescMessage>(schema: T, message: MessageShape<T>, show: () => void): void {
    if (this.isJson) this.json(toJson(schema, message, { alwaysEmitImplicit: true }));
    else show();
  }

  /** Rows in columns, the first being the heading; a word if there is none. */
  table(heading: readonly string[], rows: readonly (readonly string[])[], none: string): void {
    this.say(rows.length === 0 ? none : formatTable([heading, ...rows]));
  }

  /** A remark beside the answer. */
  remark(line: string): void {
    this.endProgress();
    this.#stderr.write(`${line}\n`);
  }

  /** How far it is, in one line that changes; nothing where that is not possible. */
  progress(text: string): void {
    if (!this.#stderr.isTTY) return;
    this.#stderr.write(`\r${text.padEnd(this.#progress.length)}`);
    this.#progress = text;
  }

  /** Ends the line of progress. */
  endProgress(): void {
    if (this.#progress !== "") this.#stderr.write("\n");
    this.#progress = "";
  }

  close(): void {
    for (const target of this.#targets.values()) target.close();
  }
}
