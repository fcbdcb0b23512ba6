-- What the work that began it takes along, for its steps.
ALTER TABLE restock_saga ADD COLUMN carried jsonb;
