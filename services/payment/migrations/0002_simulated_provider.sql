-- What the simulated payment provider knows, by idempotency key. It stands for tables that are another company's, so
-- nothing but the simulation reads it.
CREATE TABLE simulated_provider_hold (
  key      text PRIMARY KEY,
  failures int NOT NULL DEFAULT 0,
  outcome  text CHECK (outcome IN ('APPROVED', 'DECLINED', 'RELEASED')));
