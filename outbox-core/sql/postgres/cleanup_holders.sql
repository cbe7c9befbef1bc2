-- Who holds a lock on a segment or its TOAST table, or waits for one. Takes the lock table's own light locks; uses the
-- catalog's indexes.
SELECT DISTINCT substring(pg_get_expr(leaf.relpartbound, leaf.oid) FROM '-?\d+')::smallint AS segment,
    held.pid,
    coalesce(session.usename, prepared.owner)::text AS user_name,
    coalesce(session.application_name, prepared.gid) AS application,
    extract(epoch FROM clock_timestamp() - coalesce(session.xact_start, prepared.prepared))::float8 AS age_seconds
FROM pg_locks AS held
JOIN pg_inherits AS child ON child.inhparent = 'outbox_event'::regclass
JOIN pg_class AS leaf ON leaf.oid = child.inhrelid AND held.relation IN (leaf.oid, leaf.reltoastrelid)
LEFT JOIN pg_stat_activity AS session ON session.pid = held.pid
LEFT JOIN pg_locks AS own ON held.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
    AND own.virtualtransaction = held.virtualtransaction
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
WHERE held.locktype = 'relation'
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY segment, age_seconds DESC NULLS LAST
