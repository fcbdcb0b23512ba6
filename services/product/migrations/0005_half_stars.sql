-- Stars have halves, which are exact here; instances that know whole ones only read and add as before.
ALTER TABLE rating ALTER COLUMN sum TYPE double precision;
