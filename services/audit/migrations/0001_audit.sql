-- Every event that has come by, as it came. Rows are added, and never changed: the trigger below refuses all else.
CREATE TABLE audited_event (
  event_id       uuid PRIMARY KEY,
  type           text NOT NULL,
  -- The last part of the type, which is what people know it by.
  name           text GENERATED ALWAYS AS (substring(type FROM '[^.]*$')) STORED,
  key            text NOT NULL,
  key_seq        int NOT NULL,
  source         text NOT NULL,
  stream         text NOT NULL,
  stream_seq     bigint NOT NULL,
  subject        text NOT NULL,
  correlation_id text NOT NULL,
  causation_id   text NOT NULL,
  headers        jsonb NOT NULL,
  payload        bytea NOT NULL,
  event_time     timestamptz NOT NULL,
  record_time    timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Where the row stands for those who follow: ids alone become visible out of order, as their transactions commit.
  tx             xid8 NOT NULL DEFAULT pg_current_xact_id(),
  id             bigint GENERATED ALWAYS AS IDENTITY);
CREATE INDEX audited_event_time ON audited_event (event_time, event_id);
CREATE INDEX audited_event_name ON audited_event (name, event_time, event_id);
CREATE INDEX audited_event_key ON audited_event (key, event_time, event_id);
CREATE INDEX audited_event_place ON audited_event (tx, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audited events are kept as they came: % is refused', TG_OP;
END $$;
CREATE TRIGGER audited_event_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audited_event
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
