CREATE TABLE product (
  product_id      text PRIMARY KEY,
  name            text NOT NULL,
  description     text NOT NULL,
  price_cents     bigint NOT NULL CHECK (price_cents >= 0),
  available_stock int NOT NULL CHECK (available_stock >= 0),
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now());

-- What one order holds. A row without lines is a release that came before the reservation.
CREATE TABLE reservation (
  order_id   text PRIMARY KEY,
  state      text NOT NULL CHECK (state IN ('RESERVED', 'COMMITTED', 'RELEASED')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE reservation_line (
  order_id   text NOT NULL REFERENCES reservation,
  product_id text NOT NULL REFERENCES product,
  quantity   int NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (order_id, product_id));

-- A replica: what the review service has announced.
CREATE TABLE rating (
  product_id text PRIMARY KEY,
  sum        int NOT NULL,
  count      int NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now());
