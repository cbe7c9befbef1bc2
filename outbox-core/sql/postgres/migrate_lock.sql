-- One migration at a time: the second waits here, then finds the tables. Takes an advisory lock until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('outbox migrate'))
