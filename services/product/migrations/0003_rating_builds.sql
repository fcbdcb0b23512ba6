-- The ratings can be counted anew beside those that are read.
ALTER TABLE rating ADD COLUMN build int NOT NULL DEFAULT 1;
ALTER TABLE rating DROP CONSTRAINT rating_pkey, ADD PRIMARY KEY (build, product_id);
ALTER TABLE rating ALTER COLUMN build DROP DEFAULT;
