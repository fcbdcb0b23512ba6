import { type DescFile, type DescMessage, type DescService, getOption } from "@bufbuild/protobuf";
import {
  contract as contractOption,
  Kind,
  Ordering,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";
import {
  ANY_TYPE,
  type ContractProblem,
  contractProblems,
  type EventContract,
  eventContract,
  isContracted,
  MAX_STREAM_AGE_MS,
  type SubscriptionContract,
  streamContract,
  subscriptionContract,
} from "./event.ts";

/** How much is known of the contracts that are looked at. */
export interface EventProblemsOptions {
  /** True if they are all that there are: then who is not among them does not exist. Defaults to false. */
  readonly isWhole?: boolean;
}

/** Something that cannot work. */
export interface EventProblem {
  /** What is at fault. */
  readonly at: DescMessage | DescFile | DescService;
  /** Its name, and the subscription's if it is one. */
  readonly where: string;
  readonly about: ContractProblem["about"] | "subject" | "subscription";
  readonly what: string;
}

/** Throws one error that names every problem of {@link eventProblems} in these files. */
export function assertEvents(files: readonly DescFile[]): void {
  const problems = eventProblems(files);
  if (problems.length === 0) return;
  const lines = problems.map((problem) => `  - ${problem}`).join("\n");
  throw new Error(`the contract has ${problems.length} problem(s) of events and commands:\n${lines}`);
}

/** What {@link findEventProblems} finds, each as "name: what". */
export function eventProblems(files: readonly DescFile[], options?: EventProblemsOptions): string[] {
  return findEventProblems(files, options).map(({ where, what }) => `${where}: ${what}`);
}

/** What cannot work about the events, commands, streams and subscriptions of these files. Empty if nothing is wrong. */
export function findEventProblems(
  given: readonly DescFile[],
  { isWhole = false }: EventProblemsOptions = {},
): EventProblem[] {
  const files = [...new Set(given)];
  const stated = files.flatMap((file) => file.messages.filter(isContracted));
  const [broken, sound] = [new Map<DescMessage, ContractProblem[]>(), new Map<DescMessage, EventContract>()];
  for (const message of stated) {
    const problems = [...contractProblems(message)];
    if (problems.length > 0) broken.set(message, problems);
    else sound.set(message, eventContract(message));
  }
  const services = files.flatMap((file) => file.services);
  const known: Known = { sound: [...sound.values()], broken: [...broken.keys()], services, isWhole };
  return [
    ...[...broken].flatMap(([at, problems]) => problems.map((each) => ({ at, where: at.typeName, ...each }))),
    ...[...sound].flatMap(([at, contract]) =>
      [...messageProblems(at, contract, known)].map((each) => ({ at, where: at.typeName, ...each })),
    ),
    ...streamProblems(files),
    ...services.flatMap((service) => [...serviceProblems(service, known)]),
  ];
}

interface Known {
  readonly sound: readonly EventContract[];
  /** Messages whose contracts were complained about already. */
  readonly broken: readonly DescMessage[];
  readonly services: readonly DescService[];
  readonly isWhole: boolean;
}

const TOKEN = /^[a-z0-9_-]+$/;
const BUILT = /_v\d+$/;

function* messageProblems(
  message: DescMessage,
  contract: EventContract,
  { sound, services, isWhole }: Known,
): Generator<Pick<EventProblem, "about" | "what">> {
  const about = "contract";
  const { kind, owner, aggregate, major, name, ttlMs } = contract;
  const [service, version] = message.file.proto.package.split(".").slice(-2);
  if (owner !== service)
    yield { about, what: `its owner is ${owner}, but it stands in the package of ${service}` };
  if (version !== `v${major}`)
    yield { about, what: `its major is ${major}, but its package says ${version}` };
  if (!TOKEN.test(aggregate)) yield { about, what: `its aggregate "${aggregate}" is no token of a subject` };
  const others = sound.filter(
    (each) => each !== contract && each.kind === kind && each.aggregate === aggregate,
  );
  for (const other of others) {
    // Each pair once.
    if (other.type < contract.type) continue;
    if (other.owner !== owner)
      yield { about: "subject", what: `${owner} publishes ${aggregate}, and so does ${other.owner}` };
    if (other.name === name && other.major === major)
      yield { about: "subject", what: `its subject is that of ${other.type} too` };
  }
  if (ttlMs !== undefined && ttlMs > streamContract(message).maxAgeMs)
    yield { about, what: "its ttl is longer than its stream keeps it" };
  if (kind === Kind.COMMAND && isWhole) {
    const handlers = services.flatMap((each) =>
      subscriptionsOf(each).filter(({ handles }) => handles.includes(contract.type)),
    );
    for (const sender of getOption(message, contractOption).senders) {
      if (!services.some((each) => each.file.proto.package.split(".").at(-2) === sender))
        yield { about, what: `its sender ${sender} is no service` };
    }
    if (handlers.length !== 1)
      yield { about, what: `a command has one receiver, but ${handlers.length} subscriptions handle it` };
  }
}

/** Streams that are stated twice, differently, and those that cannot be. */
function* streamProblems(files: readonly DescFile[]): Generator<EventProblem> {
  const stated = new Map<string, { file: string; plan: string }>();
  for (const at of files) {
    const where = at.proto.name;
    const about = "stream";
    const message = at.messages.find(
      (each) => isContracted(each) && [...contractProblems(each)].length === 0,
    );
    if (!message) continue;
    const contract = streamContract(message);
    if (contract.duplicateWindowMs > contract.maxAgeMs)
      yield { at, where, about, what: `the duplicate_window of ${contract.name} is longer than its max_age` };
    if (contract.maxAgeMs > MAX_STREAM_AGE_MS)
      yield { at, where, about, what: `the max_age of ${contract.name} is longer than 7 days` };
    const plan = JSON.stringify(contract);
    const before = stated.get(contract.name);
    if (before && before.plan !== plan)
      yield { at, where, about, what: `states the stream ${contract.name} otherwise than ${before.file}` };
    stated.set(contract.name, { file: where, plan });
  }
}

function* serviceProblems(at: DescService, known: Known): Generator<EventProblem> {
  const names = new Set<string>();
  for (const subscription of subscriptionsOf(at)) {
    const { name } = subscription;
    const where = `${at.typeName} "${name}"`;
    const about = "subscription";
    if (!TOKEN.test(name)) yield { at, where, about, what: "its name is no token of a subject" };
    if (BUILT.test(name)) yield { at, where, about, what: "its name ends like that of a build" };
    if (names.has(name)) yield { at, where, about, what: "there are two of this name" };
    names.add(name);
    for (const what of subscriptionProblems(at, subscription, known)) yield { at, where, about, what };
  }
}

const STRENGTH: Readonly<Record<number, number>> = {
  [Ordering.NONE]: 0,
  [Ordering.LATEST]: 1,
  [Ordering.STRICT]: 2,
};

function* subscriptionProblems(
  service: DescService,
  { kind, aggregate, handles, ordering }: SubscriptionContract,
  { sound, broken, isWhole }: Known,
): Generator<string> {
  const owner = service.file.proto.package.split(".").at(-2);
  // Who takes all that comes by reads along, and obeys nothing.
  if (kind === Kind.COMMAND && aggregate !== owner && !handles.includes(ANY_TYPE))
    yield `it handles the commands to ${aggregate}, but only those to ${owner} are its own`;
  if (handles.length === 0) yield "it handles nothing";
  for (const type of handles.filter((each) => each !== ANY_TYPE)) {
    const found = sound.find((each) => each.type === type);
    if (found && (found.kind !== kind || found.aggregate !== aggregate))
      yield `${type} is not among the ${kind === Kind.COMMAND ? "commands" : "events"} of ${aggregate}`;
    if (!found && isWhole && !broken.some(({ typeName }) => typeName === type)) yield `there is no ${type}`;
  }
  // All that comes by counts, handled or not: a message without a number has no place in an order.
  const weaker = sound.filter(
    (each) =>
      each.kind === kind && each.aggregate === aggregate && strength(each.ordering) < strength(ordering),
  );
  for (const { type } of weaker) yield `its ordering is stronger than that of ${type}`;
}

/** How much an ordering promises: more is stronger. */
export function strength(ordering: Ordering): number {
  return STRENGTH[ordering] ?? 0;
}

function subscriptionsOf(service: DescService): SubscriptionContract[] {
  return getOption(service, subscriptions).map(({ name }) => subscriptionContract(service, name));
}
