CREATE TABLE review (
  review_id   text PRIMARY KEY,
  product_id  text NOT NULL,
  customer_id text NOT NULL,
  rating      int NOT NULL CHECK (rating BETWEEN 1 AND 5),
  title       text NOT NULL,
  body        text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  -- A removed review stays, so that removing it again changes nothing and page tokens that name it still hold.
  removed_at  timestamptz);
CREATE INDEX review_newest ON review (product_id, created_at DESC, review_id DESC) WHERE removed_at IS NULL;

-- A replica: who bought what, as the order service has announced it.
CREATE TABLE buyer (
  customer_id text NOT NULL,
  product_id  text NOT NULL,
  PRIMARY KEY (customer_id, product_id));
