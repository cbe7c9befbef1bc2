-- Who keeps everybody from reading the log or a segment (null for the whole log), whose number is told by its name, for its bounds
-- cannot be read either. Takes the lock table's own light locks; uses the
-- catalog's indexes.
SELECT substring(locked.relname FROM '\d+$')::smallint AS segment,
    held.pid,
    coalesce(session.usename, prepared.owner)::text AS user_name,
    coalesce(session.application_name, prepared.gid) AS application,
    extract(epoch FROM clock_timestamp() - coalesce(session.xact_start, prepared.prepared))::float8 AS age_seconds
FROM pg_locks AS held
JOIN pg_class AS locked ON locked.oid = held.relation
LEFT JOIN pg_stat_activity AS session ON session.pid = held.pid
LEFT JOIN pg_locks AS own ON held.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
    AND own.virtualtransaction = held.virtualtransaction
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
WHERE held.locktype = 'relation' AND held.granted AND held.mode = 'AccessExclusiveLock'
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (locked.oid = 'outbox_event'::regclass
        OR locked.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'outbox_event'::regclass))
ORDER BY segment NULLS FIRST, age_seconds DESC NULLS LAST
