-- Brings the tables of revision 2 to revision 3 while a relay and writers of revision 2 work on. Runs as it stands, after
-- migrate_2.sql, inside one transaction.

-- How often the row was claimed. A write names the claim it follows, so that one that was given up and arrives after the
-- next claim of the same epoch changes nothing.
ALTER TABLE outbox_checkpoint ADD COLUMN claims INTEGER NOT NULL DEFAULT 0;

UPDATE outbox_meta SET value = '3' WHERE name = 'revision';
