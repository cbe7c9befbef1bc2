-- Keeps every segment as it is until the transaction ends: the first statement of each that writes a new claim on the log.
-- Takes ACCESS SHARE on the log and its segments; waits for a cleaner at work, some milliseconds.
LOCK TABLE outbox_event IN ACCESS SHARE MODE
