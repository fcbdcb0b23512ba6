-- What the work that began it takes along, for its steps.
ALTER TABLE delivery ADD COLUMN carried jsonb;
