-- Brings the tables of revision 1 to revision 2 while a relay and writers of revision 1 work on. Runs as it stands, after
-- migrate.sql, inside one transaction.

-- What a relay serves, as a JSON array of names.
ALTER TABLE outbox_relay ADD COLUMN serves TEXT NOT NULL DEFAULT '';

-- The row 'partitions:NAME' says how many partitions a subscription has; one without it has one.
INSERT INTO outbox_meta (name, value) VALUES ('revision', '2');
