import { afterAll, onTestFinished, TestRunner } from "vitest";

/** Runs `fn` at the end of the test that runs now or, outside of any, of the test file. The last one given runs first. */
export function atEnd(fn: () => Promise<void>): void {
  if (TestRunner.getCurrentTest()) onTestFinished(fn);
  else afterAll(fn);
}
