-- Brings the tables of revision 1 to revision 2 while a relay and writers of revision 1 work on. Runs as it stands, after
-- migrate.sql, inside one transaction.

-- From here on relays write rows of outbox_meta too: 'address:...', one for each path at which a relay has worked or that was
-- adopted, with the time and by whom; 'server', the device and number of the file that a relay met last; 'repair:...' and
-- 'new_instance:...', what a person did at that time, and why; 'left:...', an address that a new instance gave up. By them a copy is
-- told from the original.

-- What a relay serves, as a JSON array of names.
ALTER TABLE outbox_relay ADD COLUMN serves TEXT NOT NULL DEFAULT '';

-- Dead letters are full copies of their events, which outlive the log. A row of the log that cannot become an event is kept as
-- far as it can be read. What an operator decided stands beside it, and the payload it had before.
ALTER TABLE outbox_dead_letter ADD COLUMN event_type TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN aggregate_type TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN operation TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN payload TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN old_payload TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN payload_binary BLOB;
ALTER TABLE outbox_dead_letter ADD COLUMN old_payload_binary BLOB;
ALTER TABLE outbox_dead_letter ADD COLUMN content_type TEXT NOT NULL DEFAULT 'application/json';
ALTER TABLE outbox_dead_letter ADD COLUMN headers TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN tenant_id TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN actor TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN schema_version INTEGER;
ALTER TABLE outbox_dead_letter ADD COLUMN transaction_id TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN occurred_at TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000000Z';
ALTER TABLE outbox_dead_letter ADD COLUMN readable INTEGER NOT NULL DEFAULT 1;
ALTER TABLE outbox_dead_letter ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox_dead_letter ADD COLUMN original_payload BLOB;
ALTER TABLE outbox_dead_letter ADD COLUMN settled_by TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN settled_reason TEXT;
ALTER TABLE outbox_dead_letter ADD COLUMN settled_at TEXT;

-- The queue of a key.
CREATE INDEX outbox_dead_letter_key ON outbox_dead_letter (subscription, event_key, position);

-- The row 'partitions:NAME' says how many partitions a subscription has; one without it has one.
-- The row 'paused:NAME' pauses a subscription, and 'letters:NAME' changes when an operator decides about its dead letters.
INSERT INTO outbox_meta (name, value) VALUES ('revision', '2');
