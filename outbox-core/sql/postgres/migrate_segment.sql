-- Adds the segment 0 to a log at work: made aside, then attached, so that no writer waits. Runs in a transaction. Takes SHARE
-- UPDATE EXCLUSIVE on the log, which waits for a vacuum or another migration alone and makes only these wait.
CREATE TABLE outbox_event_0 (LIKE outbox_event INCLUDING DEFAULTS, PRIMARY KEY (position)) WITH (autovacuum_enabled = off);

ALTER TABLE outbox_event ATTACH PARTITION outbox_event_0 FOR VALUES IN (/* segment */ 0);
