-- Who bought what can be found out anew beside what is read. What instances of the release before write is the first build.
ALTER TABLE buyer ADD COLUMN build int NOT NULL DEFAULT 1;
ALTER TABLE buyer DROP CONSTRAINT buyer_pkey, ADD PRIMARY KEY (build, customer_id, product_id);
