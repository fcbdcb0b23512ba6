import { expect, test } from "vitest";
import { AppError } from "../../mesh/core/errors.ts";
import { random } from "../../mesh/testing/random.ts";
import {
  authorizing,
  captured,
  checkSamePayment,
  decided,
  heldOrCharged,
  type Outcome,
  type Payment,
  type PaymentState,
  refunded,
  voided,
  voidedBeforehand,
} from "./payment.ts";

const WANTED = { orderId: "order-1", customerId: "cust-ada", amountCents: 1_000 };
const STATES: readonly PaymentState[] = [
  "AUTHORIZING",
  "AUTHORIZED",
  "DECLINED",
  "CAPTURED",
  "VOIDED",
  "REFUNDED",
];

function inState(state: PaymentState): Payment {
  return { ...authorizing(WANTED), state, refundedCents: state === "REFUNDED" ? 1_000 : 0 };
}

/** What a rule makes of a payment: its state, or the reason of the refusal. */
function resultOf(rule: () => Payment): string {
  try {
    return rule().state;
  } catch (error) {
    if (error instanceof AppError) return error.reason;
    throw error;
  }
}

const RULES = {
  "the provider approves": (p: Payment) => decided(p, "APPROVED"),
  "the provider declines": (p: Payment) => decided(p, "DECLINED"),
  "its answer is read": heldOrCharged,
  "it is captured": captured,
  "it is voided": voided,
  "a part is refunded": (p: Payment) => refunded(p, 400),
  "all is refunded": (p: Payment) => refunded(p, 1_000),
  "too much is refunded": (p: Payment) => refunded(p, 1_001),
};

const NOT_FOUND = "PAYMENT_NOT_FOUND";
const DECLINED = "PAYMENT_DECLINED";
const VOIDED = "PAYMENT_VOIDED";
const CAPTURED = "PAYMENT_CAPTURED";
const UNPAID = "NOT_CAPTURED";
const TOO_MUCH = "REFUND_EXCEEDS_CAPTURE";

// A column per state, in the order of STATES.
const TABLE: Record<keyof typeof RULES, readonly string[]> = {
  "the provider approves": ["AUTHORIZED", "AUTHORIZED", "DECLINED", "CAPTURED", "VOIDED", "REFUNDED"],
  "the provider declines": ["DECLINED", "AUTHORIZED", "DECLINED", "CAPTURED", "VOIDED", "REFUNDED"],
  "its answer is read": [NOT_FOUND, "AUTHORIZED", DECLINED, "CAPTURED", VOIDED, "REFUNDED"],
  "it is captured": [NOT_FOUND, "CAPTURED", DECLINED, "CAPTURED", VOIDED, "REFUNDED"],
  "it is voided": ["VOIDED", "VOIDED", "DECLINED", CAPTURED, "VOIDED", CAPTURED],
  "a part is refunded": [NOT_FOUND, UNPAID, UNPAID, "CAPTURED", UNPAID, TOO_MUCH],
  "all is refunded": [NOT_FOUND, UNPAID, UNPAID, "REFUNDED", UNPAID, TOO_MUCH],
  "too much is refunded": [NOT_FOUND, UNPAID, UNPAID, TOO_MUCH, UNPAID, TOO_MUCH],
};

test.each(Object.entries(RULES))("in every state: when %s", (name, rule) => {
  expect(STATES.map((state) => resultOf(() => rule(inState(state))))).toEqual(
    TABLE[name as keyof typeof RULES],
  );
});

const FINAL: readonly PaymentState[] = ["DECLINED", "VOIDED", "REFUNDED"];

test("whatever happens in whatever order, the books balance and what is final stays", () => {
  const seen = new Set<PaymentState>();
  for (let seed = 1; seed <= 500; seed++) {
    const chance = random(seed);
    const steps = [
      () => decided(payment, chance.chance(0.7) ? "APPROVED" : "DECLINED"),
      () => captured(payment),
      () => captured(payment),
      () => voided(payment),
      () => refunded(payment, 1 + chance.below(1_000)),
      () => refunded(payment, 1_000 - payment.refundedCents || 1),
    ];
    let payment = authorizing(WANTED);
    for (let step = 0; step < 12; step++) {
      const before = payment;
      try {
        payment = chance.pick(steps)();
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
      }
      const { state, refundedCents } = payment;
      seen.add(state);
      if (FINAL.includes(before.state)) expect(payment).toEqual(before);
      if (refundedCents > 0) expect(["CAPTURED", "REFUNDED"]).toContain(state);
      expect(refundedCents).toBeGreaterThanOrEqual(before.refundedCents);
      expect(refundedCents <= 1_000 && (refundedCents === 1_000) === (state === "REFUNDED")).toBe(true);
      if (before.state === "AUTHORIZING") expect(state).not.toBe("CAPTURED");
      if (before.state === "CAPTURED") expect(["CAPTURED", "REFUNDED"]).toContain(state);
    }
  }
  expect([...seen].sort()).toEqual([...STATES].sort());
});

test("what changes nothing returns the same payment, so that nothing is announced twice", () => {
  const rules = [captured, voided, (p: Payment) => decided(p, "APPROVED")];
  for (const rule of rules) {
    const once = rule(inState(rule === captured || rule === voided ? "AUTHORIZED" : "AUTHORIZING"));
    expect(rule(once)).toBe(once);
  }
});

test("a payment that never held anything has no amount once it is voided", () => {
  expect(voided(inState("AUTHORIZING")).amountCents).toBeUndefined();
  expect(voided(inState("AUTHORIZED")).amountCents).toBe(1_000);
});

test("partial refunds sum up, and the last cent makes it refunded", () => {
  const first = refunded(inState("CAPTURED"), 999);
  expect([first.state, first.refundedCents]).toEqual(["CAPTURED", 999]);
  expect(resultOf(() => refunded(first, 2))).toBe("REFUND_EXCEEDS_CAPTURE");
  const last = refunded(first, 1);
  expect([last.state, last.refundedCents]).toEqual(["REFUNDED", 1_000]);
});

test("a payment is the same if amount and customer are, and a voided one refuses either", () => {
  const check = (payment: Payment, wanted: typeof WANTED) =>
    resultOf(() => {
      checkSamePayment(payment, wanted);
      return payment;
    });
  expect(check(inState("DECLINED"), WANTED)).toBe("DECLINED");
  expect(check(inState("AUTHORIZED"), { ...WANTED, amountCents: 999 })).toBe("PAYMENT_DIFFERS");
  expect(check(inState("AUTHORIZED"), { ...WANTED, customerId: "cust-grace" })).toBe("PAYMENT_DIFFERS");
  expect(check(voidedBeforehand("order-1"), WANTED)).toBe("PAYMENT_VOIDED");
});

test("a provider that let go what we still wait for is a fault, not an answer", () => {
  const outcome: Outcome = "RELEASED";
  expect(() => decided(inState("AUTHORIZING"), outcome)).toThrow("still waits for");
  expect(decided(inState("VOIDED"), outcome).state).toBe("VOIDED");
});
