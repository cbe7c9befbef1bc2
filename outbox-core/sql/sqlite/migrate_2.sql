-- Brings the tables of revision 1 to revision 2 while a relay and writers of revision 1 work on. Runs as it stands, after
-- migrate.sql, inside one transaction.

-- From here on relays write rows of outbox_meta too: 'address:…', one for each path at which a relay has worked or that was
-- adopted, with the time and by whom; 'server', the device and number of the file that a relay met last; 'repair:…' and
-- 'new_instance:…', what a person did at that time, and why. By them a copy is told from the original.

-- What a relay serves, as a JSON array of names.
ALTER TABLE outbox_relay ADD COLUMN serves TEXT NOT NULL DEFAULT '';

-- The row 'partitions:NAME' says how many partitions a subscription has; one without it has one.
INSERT INTO outbox_meta (name, value) VALUES ('revision', '2');
