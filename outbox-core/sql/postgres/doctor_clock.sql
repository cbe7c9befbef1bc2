-- The database's clock. Takes no lock.
SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds
