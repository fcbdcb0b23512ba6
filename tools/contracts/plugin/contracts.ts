import {
  create,
  createFileRegistry,
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  type FileRegistry,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  contractProblems,
  type EventContract,
  eventContract,
  isContracted,
} from "../../../mesh/contract/event.ts";

/** The contracts of one moment: of now, of a release, of a commit. */
export interface Contracts {
  /** Our own files, without those that they import. */
  readonly files: readonly DescFile[];
  /** Our own files and all that they import. */
  readonly registry: FileRegistry;
}

/** The contracts that these files make, in whatever order they come. */
export function contractsOf(
  files: readonly FileDescriptorProto[],
  isOwn: (file: FileDescriptorProto) => boolean,
): Contracts {
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: importsFirst(files) }));
  return { registry, files: [...registry.files].filter(({ proto }) => isOwn(proto)) };
}

/** The services of our own files. */
export function servicesOf({ files }: Contracts): DescService[] {
  return files.flatMap(({ services }) => services);
}

/** The methods of our own files. */
export function methodsOf(contracts: Contracts): DescMethod[] {
  return servicesOf(contracts).flatMap(({ methods }) => methods);
}

/** The messages of our own files, those that stand in others too. */
export function messagesOf({ files }: Contracts): DescMessage[] {
  return typesOf(files).filter((type) => type.kind === "message");
}

/** The enums of our own files, those that stand in messages too. */
export function enumsOf({ files }: Contracts): DescEnum[] {
  return typesOf(files).filter((type) => type.kind === "enum");
}

/** The methods that are in both, as they were and as they are. What was deleted is no matter of ours: buf names it. */
export function* keptMethods(before: Contracts, now: Contracts): Generator<[DescMethod, DescMethod]> {
  for (const was of methodsOf(before)) {
    const is = now.registry.getService(was.parent.typeName)?.method[was.localName];
    if (is) yield [was, is];
  }
}

/** The messages that are in both, as they were and as they are. */
export function* keptMessages(before: Contracts, now: Contracts): Generator<[DescMessage, DescMessage]> {
  for (const was of messagesOf(before)) {
    const is = now.registry.getMessage(was.typeName);
    if (is) yield [was, is];
  }
}

/** The events and commands that are in both, as they were and as they are: undefined if they are none any more. */
export function* keptEvents(
  before: Contracts,
  now: Contracts,
): Generator<{ at: DescMessage; was: EventContract; is: EventContract | undefined }> {
  for (const [was, at] of keptMessages(before, now)) {
    if (!works(was)) continue;
    // A contract that cannot work is named by the rules that look at it as it is.
    if (isContracted(at) && !works(at)) continue;
    yield { at, was: eventContract(was), is: isContracted(at) ? eventContract(at) : undefined };
  }
}

function works(message: DescMessage): boolean {
  return isContracted(message) && [...contractProblems(message)].length === 0;
}

function typesOf(files: readonly DescFile[]) {
  return files.flatMap((file) => [...nestedTypes(file)]);
}

/** Registries want a file after all that it imports; buf gives them by name. */
function importsFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const sorted = new Set<FileDescriptorProto>();
  const visit = (file: FileDescriptorProto | undefined) => {
    if (!file || sorted.has(file)) return;
    for (const name of file.dependency) visit(byName.get(name));
    sorted.add(file);
  };
  for (const file of files) visit(file);
  return [...sorted];
}
