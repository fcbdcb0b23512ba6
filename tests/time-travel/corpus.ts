import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** An event as it stood in its stream. */
export interface RecordedEvent {
  readonly stream: string;
  /** Its place in the stream. All of a stream is recorded, from 1 on: events name the places of those before them. */
  readonly seq: number;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What it says, in base64. */
  readonly data: string;
}

const FOLDER = join("contracts", "corpus");

/** The releases whose events are recorded. */
export function recordedReleases(checkout: string): string[] {
  const folder = join(checkout, FOLDER);
  return existsSync(folder)
    ? readdirSync(folder).sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    : [];
}

/** The recorded events of a release, stream by stream, each in the order of its stream. */
export function recordedEvents(checkout: string, release: string): RecordedEvent[] {
  const folder = join(checkout, FOLDER, release);
  return readdirSync(folder)
    .flatMap((name): RecordedEvent[] => JSON.parse(readFileSync(join(folder, name), "utf8")))
    .sort((a, b) => a.stream.localeCompare(b.stream) || a.seq - b.seq);
}

/** Keeps the events of a release, a file for each type. */
export function keepEvents(checkout: string, release: string, events: readonly RecordedEvent[]): void {
  const folder = join(checkout, FOLDER, release);
  mkdirSync(folder, { recursive: true });
  for (const [type, ofType] of Map.groupBy(events, typeOf))
    writeFileSync(join(folder, `${type}.json`), `${JSON.stringify(ofType, null, 2)}\n`);
}

/** The full name of an event's message. */
export function typeOf({ headers }: RecordedEvent): string {
  return headers["ce-type"] ?? "";
}

/** The name of a release by its image. */
export function releaseOf(image: string): string {
  return basename(image, ".binpb");
}
