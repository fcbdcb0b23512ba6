import { contract, stream, subscriptions } from "../../../gen/mesh/event/v1/event_pb.ts";
import { type EventProblem, findEventProblems } from "../../../mesh/contract/event-problems.ts";
import type { Contracts } from "../plugin/contracts.ts";
import type { Finding, LintRule } from "../plugin/rule.ts";

/** What every process refuses when it starts is said before anybody starts one. */
export const rule: LintRule = {
  id: "MESH_EVENTS_WORK",
  purpose: "Checks that events, commands, streams and subscriptions fit together.",
  check: (contracts) => eventFindings(contracts, ["contract", "stream", "subscription"]),
};

/** The problems about these things, each with the line of the option that states it. */
export function* eventFindings(
  { files }: Contracts,
  about: readonly EventProblem["about"][],
): Generator<Finding> {
  // buf may have been asked about a part of the contracts, so nobody is blamed for what is not among them.
  for (const problem of findEventProblems(files)) {
    if (!about.includes(problem.about)) continue;
    const { at, where, what } = problem;
    const option = { message: contract, file: stream, service: subscriptions }[at.kind];
    yield { at, option, message: `${where}: ${what}.` };
  }
}
