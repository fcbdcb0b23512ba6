-- Until when a result is remembered, as the method's dedupe_ttl says. A process that does not know the column yet means
-- a day; so do the results that are here.
ALTER TABLE request ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours';
CREATE INDEX request_expires ON request (expires_at);
DROP INDEX request_prune;
