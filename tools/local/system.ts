import type { Instance } from "./instance.ts";
import type { MailSink } from "./mail-sink.ts";
import type { Scale } from "./scale.ts";
import type { Servers } from "./shop-servers.ts";

export interface SystemOptions {
  /** "fixed" (the default): those of the table. "free": any that are free, so that several systems can run. */
  readonly ports?: "fixed" | "free";
  /** Where everything is kept. Defaults to `.data` of the checkout; as root PostgreSQL keeps its part elsewhere. */
  readonly dataDir?: string;
  /** A PostgreSQL server to use in place of our own. */
  readonly databaseUrl?: string;
  /** Begins the name of each service's database. Defaults to `weft_`; systems that share a server need different ones. */
  readonly databasePrefix?: string;
  /** A NATS server to use in place of our own. */
  readonly natsUrl?: string;
  /** How many processes a service has, by its name. Defaults to those of the table. */
  readonly scale?: Scale;
  /** A mail server to use in place of our own, which delivers nothing and shows all. */
  readonly smtpUrl?: string;
  /** Settings for every service, over those that the system makes. */
  readonly env?: Readonly<Record<string, string>>;
  /** The folder that holds `<service>/main.ts`. Defaults to `services`. */
  readonly servicesDir?: string;
  /** Milliseconds that the services have to become healthy. Defaults to 60 000. */
  readonly readyTimeoutMs?: number;
  /** Hears what is being done, a line per step. */
  readonly say?: (line: string) => void;
  /** Hears every line that a service writes. */
  readonly onLine?: (instance: string, line: string) => void;
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal;
}

/** One process of a service, as seen from outside. */
export type InstanceView = Pick<Instance, "service" | "instance" | "port" | "pid" | "restarts">;

/** The whole shop, running. A part of it is an instance ("product-2"), "postgres" or "nats". Keepers have a database. */
export interface System<Name extends string = string, Keeper extends Name = never> {
  /** As they are now: a process that was restarted has another pid, one that is down has none. */
  readonly instances: readonly InstanceView[];
  /** Where the first instance of a service listens, as "127.0.0.1:port". */
  address(service: Name): string;
  /** Sends a signal to a part, as a fault would. What dies of it is started again at once. */
  kill(part: string, signal: NodeJS.Signals): void;
  /** Stops a part until `resume`. */
  halt(part: string): Promise<void>;
  /** Starts a part that was halted, and returns once it is well. */
  resume(part: string): Promise<void>;
  /** Stops the instances of a service in order and starts them again; returns once they are well. */
  restart(service: Name): Promise<void>;
  /** The database of each service that has one, as the service's own role. */
  readonly databaseUrls: Readonly<Record<Keeper, string>>;
  /** The database server, as its administrator. */
  readonly adminDatabaseUrl: string;
  readonly natsUrl: string;
  /** What the services were told to mail through. Undefined if that is not its own. */
  readonly mail: MailSink | undefined;
  /** The servers that are its own. */
  readonly servers: Pick<Servers, "postgres" | "nats">;
  /** Stops the services, then its own servers, within 10 s. Safe to call twice. */
  stop(): Promise<void>;
}

export interface SystemParts<Keeper extends string> {
  readonly instances: readonly Instance[];
  readonly servers: Servers;
  readonly mail: MailSink | undefined;
  readonly databaseUrls: Readonly<Record<Keeper, string>>;
  readonly readyTimeoutMs: number;
  readonly stop: () => Promise<void>;
}

/** The handle on a system whose parts have been started. */
export function systemOf<Name extends string, Keeper extends Name>(
  parts: SystemParts<Keeper>,
): System<Name, Keeper> {
  const { instances, servers, mail, databaseUrls, readyTimeoutMs } = parts;
  let stopped: Promise<void> | undefined;

  function partNamed(name: string) {
    const instance = instances.find((each) => each.instance === name);
    const part = instance ?? (name === "postgres" || name === "nats" ? servers[name] : undefined);
    if (part) return part;
    const names = [...instances.map((each) => each.instance), "postgres", "nats"];
    throw new Error(`this system runs no part of its own named ${name}; its parts: ${names.join(", ")}`);
  }

  async function resume(name: string): Promise<void> {
    const part = partNamed(name);
    await part.start();
    if ("untilHealthy" in part) await part.untilHealthy(readyTimeoutMs);
  }

  return {
    instances,
    address(service) {
      const first = instances.find((each) => each.service === service);
      if (first === undefined) throw new Error(`there is no service named ${service}`);
      return `127.0.0.1:${first.port}`;
    },
    kill: (name, signal) => partNamed(name).kill(signal),
    halt: (name) => partNamed(name).stop(),
    resume,
    async restart(service) {
      // One after the other, so that a service with several instances goes on serving.
      for (const { instance } of instances.filter((each) => each.service === service)) {
        await partNamed(instance).stop();
        await resume(instance);
      }
    },
    databaseUrls,
    adminDatabaseUrl: servers.databaseUrl,
    natsUrl: servers.natsUrl,
    mail,
    servers,
    stop() {
      stopped ??= parts.stop();
      return stopped;
    },
  };
}
