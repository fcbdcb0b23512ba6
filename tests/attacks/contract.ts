import { toyContract } from "../../mesh/testing/toy-calls.ts";

/** What is attacked; the first contract of its process, so that the server and those who call it mean the same. */
export const service = toyContract({
  /** Answers with `n` characters. */
  Ask: {},
  /** Says `n` characters again and again, for as long as somebody listens. */
  Watch: { streams: "server" },
  /** Reads nothing before its caller has left. */
  Ignore: { streams: "client" },
  /** Answers each question, and reads the next when that has left. */
  Talk: { streams: "both" },
});

/** The path of one of its methods. */
export const pathOf = (method: "Ask" | "Watch" | "Ignore" | "Talk"): string =>
  `/${service.typeName}/${method}`;
