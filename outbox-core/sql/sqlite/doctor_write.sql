-- A write that changes nothing and is taken back: whether there could be one. Takes the write lock, which BEGIN IMMEDIATE took
-- before; SQLite grants that on a file it may only read, too.
UPDATE outbox_meta SET value = value WHERE name = 'schema_version';
