-- What product and customer last announced, for the time when they cannot be asked.
CREATE TABLE product_replica (
  product_id  text PRIMARY KEY,
  price_cents bigint NOT NULL CHECK (price_cents >= 0),
  synced_at   timestamptz NOT NULL DEFAULT now());

CREATE TABLE customer_replica (
  customer_id text PRIMARY KEY,
  synced_at   timestamptz NOT NULL DEFAULT now());
