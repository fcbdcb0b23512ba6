-- One payment per order. AUTHORIZING was begun, and the provider has not said yet.
CREATE TABLE payment (
  order_id       text PRIMARY KEY,
  -- Empty in a row that only remembers that the order's payment was voided before it began.
  customer_id    text NOT NULL,
  amount_cents   bigint CHECK (amount_cents >= 0),
  state          text NOT NULL
    CHECK (state IN ('AUTHORIZING', 'AUTHORIZED', 'DECLINED', 'CAPTURED', 'VOIDED', 'REFUNDED')),
  refunded_cents bigint NOT NULL DEFAULT 0,
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  CHECK (amount_cents IS NOT NULL OR state = 'VOIDED'),
  CHECK (refunded_cents BETWEEN 0 AND coalesce(amount_cents, 0)));
