import { type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { deprecation as option } from "../../gen/mesh/policy/v1/deprecation_pb.ts";

/** What is said of a method that is to go. */
export interface MethodDeprecation {
  /** Since when it is deprecated. */
  readonly since: Date;
  /** From when on it may be gone; undefined while that is open. */
  readonly sunset: Date | undefined;
  /** Where it is written what to do instead; undefined if nowhere. */
  readonly link: string | undefined;
}

/** What the contract says of a method that is to go: undefined if it stays, or if nobody says until when it will be there. */
export function deprecationOf(method: DescMethod): MethodDeprecation | undefined {
  if (!method.deprecated || !hasOption(method.parent, option)) return undefined;
  const { since, sunset, link } = getOption(method.parent, option);
  return { since: dayOf(since), sunset: sunset ? dayOf(sunset) : undefined, link: link || undefined };
}

/** What cannot work of what a service says of its methods that are to go. */
export function* deprecationProblems(service: DescService): Generator<string> {
  if (!hasOption(service, option)) return;
  const { since, sunset, link } = getOption(service, option);
  if (!service.methods.some(({ deprecated }) => deprecated))
    yield "it says when what is deprecated will be gone, but no method is deprecated";
  for (const [name, day] of Object.entries({ since, ...(sunset && { sunset }) }))
    if (!isDay(day)) yield `the deprecation's ${name} is "${day}", which is no day such as 2026-12-01`;
  if (sunset && isDay(since) && isDay(sunset) && sunset < since)
    yield `the deprecation's sunset ${sunset} is before its since ${since}`;
  if (link && !URL.canParse(link)) yield `the deprecation's link "${link}" is no URI`;
}

function dayOf(day: string): Date {
  return new Date(`${day}T00:00:00Z`);
}

function isDay(day: string): boolean {
  // A day that the calendar does not have becomes another one, or none.
  const date = dayOf(day);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) && day.length === 10;
}
