-- Brings the tables of revision 1 to revision 2 while a relay and writers of revision 1 work on. Runs as it stands, after
-- migrate.sql, inside one transaction.

INSERT INTO outbox_meta (name, value) VALUES ('revision', '2');
