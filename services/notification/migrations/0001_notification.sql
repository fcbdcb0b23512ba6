CREATE TABLE notification (
  notification_id text PRIMARY KEY,
  customer_id     text NOT NULL,
  template        text NOT NULL,
  data            jsonb NOT NULL,
  state           text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'SENT', 'FAILED')),
  failure_reason  text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  sent_at         timestamptz);
CREATE INDEX notification_newest ON notification (customer_id, created_at DESC, notification_id DESC);

-- The mails that are on their way: what is intended, written before it is tried.
CREATE TABLE delivery (
  notification_id text PRIMARY KEY REFERENCES notification,
  state           text NOT NULL,
  version         int NOT NULL DEFAULT 1,
  reason          text,
  -- When the mail is given up; null: it has ended.
  deadline_at     timestamptz,
  -- When somebody may take it, which is also when a lease runs out; null: it is at its end.
  next_attempt_at timestamptz DEFAULT now(),
  step_attempts   int NOT NULL DEFAULT 0,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  -- The work that asked for it, so that sending it belongs to the same trace.
  traceparent     text,
  request_id      text);
CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- A replica: where customers want their mail, as the customer service has announced it.
CREATE TABLE customer (
  customer_id  text PRIMARY KEY,
  email        text NOT NULL,
  display_name text NOT NULL);
