-- The replicas can be filled anew beside those that are read.
ALTER TABLE product_replica ADD COLUMN build int NOT NULL DEFAULT 1;
ALTER TABLE product_replica DROP CONSTRAINT product_replica_pkey, ADD PRIMARY KEY (build, product_id);
ALTER TABLE product_replica ALTER COLUMN build DROP DEFAULT;

ALTER TABLE customer_replica ADD COLUMN build int NOT NULL DEFAULT 1;
ALTER TABLE customer_replica DROP CONSTRAINT customer_replica_pkey, ADD PRIMARY KEY (build, customer_id);
ALTER TABLE customer_replica ALTER COLUMN build DROP DEFAULT;
