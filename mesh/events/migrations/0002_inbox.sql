-- The event whose death parked the key, for the letters of those behind it.
ALTER TABLE inbox_cursor ADD COLUMN parked_by uuid;

-- Not on inbox_cursor: there every event would have to update it.
CREATE INDEX inbox_prune ON inbox (processed_at);
