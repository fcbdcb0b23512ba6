CREATE TABLE orders (
  order_id         text PRIMARY KEY,
  customer_id      text NOT NULL,
  total_cents      bigint NOT NULL CHECK (total_cents >= 0),
  -- Forgotten once the order is final.
  payment_token    text,
  state            text NOT NULL CHECK (state IN ('PENDING', 'CONFIRMED', 'REJECTED', 'CANCELLED')),
  rejection_reason text NOT NULL DEFAULT '',
  cancel_reason    text NOT NULL DEFAULT '',
  refunded_cents   bigint,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now());
-- Ids sort by time, so this is also newest first.
CREATE INDEX orders_by_customer ON orders (customer_id, order_id DESC);

CREATE TABLE order_line (
  order_id         text NOT NULL REFERENCES orders,
  position         int NOT NULL,
  product_id       text NOT NULL,
  quantity         int NOT NULL CHECK (quantity > 0),
  unit_price_cents bigint NOT NULL CHECK (unit_price_cents >= 0),
  PRIMARY KEY (order_id, position));

CREATE TABLE order_saga (
  order_id        text PRIMARY KEY REFERENCES orders,
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
CREATE INDEX order_saga_due ON order_saga (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
