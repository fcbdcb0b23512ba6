-- What the supplier was asked to bring.
CREATE TABLE restock (
  restock_id text PRIMARY KEY,
  product_id text NOT NULL REFERENCES product,
  quantity   int NOT NULL CHECK (quantity > 0),
  created_at timestamptz NOT NULL DEFAULT now());

-- How far it is.
CREATE TABLE restock_saga (
  restock_id      text PRIMARY KEY REFERENCES restock,
  state           text NOT NULL,
  version         int NOT NULL DEFAULT 1,
  reason          text,
  -- When the state is overdue; null: never.
  deadline_at     timestamptz,
  -- When somebody may take it, which is also when a lease runs out; null: it is at its end.
  next_attempt_at timestamptz DEFAULT now(),
  step_attempts   int NOT NULL DEFAULT 0,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  -- The call that began it, so that its steps belong to the same trace.
  traceparent     text,
  request_id      text);
CREATE INDEX restock_saga_due ON restock_saga (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
