-- Half stars, 2 to 10. Reviews of releases that know whole stars only, and of instances of those that still run, have none.
ALTER TABLE review ADD COLUMN half_stars int CHECK (half_stars BETWEEN 2 AND 10);
