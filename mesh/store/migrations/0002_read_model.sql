-- Which build of a read model is in use, by the subscription that feeds it.
CREATE TABLE read_model (
  subscription text PRIMARY KEY,
  live         int NOT NULL);
