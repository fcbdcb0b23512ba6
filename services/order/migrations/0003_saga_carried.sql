-- What the work that began it takes along, for its steps.
ALTER TABLE order_saga ADD COLUMN carried jsonb;
