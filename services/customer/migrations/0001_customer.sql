CREATE TABLE customer (
  customer_id   text PRIMARY KEY,
  email         text NOT NULL UNIQUE CHECK (email = lower(email)),
  display_name  text NOT NULL,
  role          text NOT NULL CHECK (role IN ('customer', 'operator')),
  -- With salt and parameters: $scrypt$ln=...,r=...,p=...$salt$hash
  password_hash text NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now());

-- The keys that tokens are signed with, in the order in which they sign. A number is given once, so two instances that
-- make the next key at the same time end with one.
CREATE TABLE signing_key (
  number      int PRIMARY KEY,
  kid         text NOT NULL UNIQUE,
  signs_from  timestamptz NOT NULL,
  public_jwk  jsonb NOT NULL,
  private_jwk jsonb NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now());
