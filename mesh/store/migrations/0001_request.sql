-- What `once` remembers: the result of a call by its method, caller and request id.
CREATE TABLE request (
  method     text NOT NULL,
  caller     text NOT NULL,
  request_id text NOT NULL,
  content    text NOT NULL,
  result     bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (method, caller, request_id));
CREATE INDEX request_prune ON request (created_at);
