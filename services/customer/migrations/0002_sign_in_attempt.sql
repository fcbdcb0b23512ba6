-- Wrong passwords by address, until they are forgiven. The key is a digest: an address that nobody has is no business of ours.
-- The columns are those of rate-limiter-flexible.
CREATE TABLE sign_in_attempt (
  key    text PRIMARY KEY,
  points int NOT NULL,
  -- Milliseconds since 1970.
  expire bigint);
