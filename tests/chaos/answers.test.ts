import { expect, test } from "vitest";
import { Answers } from "./answers.ts";

const ACK_WAIT_MS = 30_000;
const STORED_AT_MS = 1_000_000;

/** What is made of these answers to one message: which delivery, what was said, and when after it was stored. */
function judge(...heard: readonly [delivery: number, answer: string, afterMs: number][]) {
  const answers = new Answers(ACK_WAIT_MS);
  for (const [delivery, answer, afterMs] of heard) {
    const subject = `$JS.ACK.EVT_TOY.toy__moves.${delivery}.7.${6 + delivery}.${STORED_AT_MS}000000.0`;
    answers.hear(subject, answer, STORED_AT_MS + afterMs);
  }
  const { givenBack, takenBack, missed } = answers;
  return { givenBack, takenBack, missed };
}

test("a delivery that was given back is waited for by nobody, however late it comes again", () => {
  const expected = { givenBack: 1, takenBack: 0, missed: 0 };
  expect(judge([1, '-NAK {"delay":10000000}', 5], [2, "+ACK", 90_000])).toEqual(expected);
});

test("a delivery that was not answered and comes again before the broker's patience is over was taken back", () => {
  expect(judge([2, "+ACK", 16])).toEqual({ givenBack: 0, takenBack: 1, missed: 0 });
  expect(judge([2, "+ACK", ACK_WAIT_MS - 1])).toEqual({ givenBack: 0, takenBack: 1, missed: 0 });
});

test("a delivery that was not answered and comes again so late was waited for in vain", () => {
  expect(judge([2, "+ACK", ACK_WAIT_MS])).toEqual({ givenBack: 0, takenBack: 0, missed: 1 });
});

test("the broker's patience begins when the message was given back before, or when somebody was still at it", () => {
  const late = ACK_WAIT_MS + 1_000;
  expect(judge([1, "-NAK", 2_000], [3, "+ACK", late])).toEqual({ givenBack: 1, takenBack: 1, missed: 0 });
  expect(judge([1, "-NAK", 900], [3, "+ACK", late])).toEqual({ givenBack: 1, takenBack: 0, missed: 1 });
  expect(judge([1, "+WPI", 2_000], [2, "+ACK", late])).toEqual({ givenBack: 0, takenBack: 1, missed: 0 });
  expect(judge([1, "+WPI", 900], [2, "+ACK", late])).toEqual({ givenBack: 0, takenBack: 0, missed: 1 });
});

test("what is no answer to a delivery is no measure of one", () => {
  expect(() => new Answers(ACK_WAIT_MS).hear("$JS.ACK.EVT_TOY", "+ACK", 0)).toThrow("is no answer");
});
