import type { AnyDesc, DescExtension } from "@bufbuild/protobuf";
import type { Contracts } from "./contracts.ts";

/** What a rule objects to. */
export interface Finding {
  /** What is at fault in the contracts as they are; what was deleted is shown where it stood: at its parent. */
  readonly at: AnyDesc;
  /** The option of it that is at fault, so that the finding names its line. */
  readonly option?: DescExtension;
  /** A sentence for whoever made the change: what is wrong, and how it must be. */
  readonly message: string;
}

interface AnyRule {
  /** What buf.yaml and comments call it, such as "MESH_ROUTE_STABLE". */
  readonly id: string;
  /** One sentence with a capital letter and a full stop, 256 characters at most: buf shows it in lists. */
  readonly purpose: string;
}

/** A rule that looks at contracts as they are. */
export interface LintRule extends AnyRule {
  readonly check: (contracts: Contracts) => Iterable<Finding>;
}

/** A rule that compares contracts with what was promised before. */
export interface BreakingRule extends AnyRule {
  readonly compare: (before: Contracts, now: Contracts) => Iterable<Finding>;
}

/** A rule of this repository's contracts, on top of those that buf has. */
export type Rule = LintRule | BreakingRule;
