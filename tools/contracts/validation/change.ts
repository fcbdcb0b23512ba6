/** How a rule of validation differs from what it was. */
export interface RuleChange {
  /** Whether less is valid than before, or more. What changes both ways is two changes. */
  readonly is: "tighter" | "looser";
  /** Such as "max_len is 200, was 100". */
  readonly what: string;
}

/** A change that nobody can say the direction of counts as both: whoever relies on either must be asked. */
export function* bothWays(what: string): Generator<RuleChange> {
  yield { is: "tighter", what };
  yield { is: "looser", what };
}
