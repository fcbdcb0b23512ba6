-- Allocates the numbers of a key's events, without gaps: the row lock orders the transactions of a key.
CREATE TABLE event_key (
  stream     text NOT NULL,
  key        text NOT NULL,
  last_seq   int NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (stream, key));

-- What this service has published or is about to.
CREATE TABLE outbox (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id     uuid NOT NULL UNIQUE,
  stream       text NOT NULL,
  subject      text NOT NULL,
  type         text NOT NULL,
  key          text,
  key_seq      int,
  headers      jsonb NOT NULL,
  payload      bytea NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  published_at timestamptz,
  stream_seq   bigint,
  attempts     int NOT NULL DEFAULT 0,
  failed_at    timestamptz,
  error        text,
  UNIQUE (stream, key, key_seq),
  CHECK ((key IS NULL) = (key_seq IS NULL)));
CREATE INDEX outbox_pending ON outbox (stream, id) WHERE published_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_tail ON outbox (stream, stream_seq DESC) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_prune ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_failed ON outbox (stream, key, id) WHERE failed_at IS NOT NULL;

-- Which events a consumer without order has handled.
CREATE TABLE inbox (
  consumer     text,
  event_id     uuid,
  processed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, event_id));

-- How far a consumer with order is with each key.
CREATE TABLE inbox_cursor (
  consumer     text,
  stream       text,
  key          text,
  last_seq     int NOT NULL,
  parked_until int NOT NULL DEFAULT 0,
  retry_at     timestamptz,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, stream, key));

-- What a consumer has failed at so far.
CREATE TABLE inbox_failure (
  consumer        text,
  event_id        uuid,
  started         int NOT NULL DEFAULT 0,
  attempts        int NOT NULL DEFAULT 0,
  first_failed_at timestamptz,
  next_at         timestamptz,
  error_type      text,
  error           text,
  PRIMARY KEY (consumer, event_id));
