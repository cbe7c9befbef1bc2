-- What the server knows of transactions that keep holes open, if they still do. Takes no lock but the lock table's own
-- light ones; uses no index.
SELECT asked.transaction,
    coalesce(session.usename, prepared.owner)::text AS user_name,
    coalesce(session.application_name, prepared.gid) AS application,
    extract(epoch FROM clock_timestamp() - coalesce(session.xact_start, prepared.prepared))::float8 AS age_seconds
FROM unnest($1::text[], $2::integer[]) AS asked (transaction, pid)
LEFT JOIN pg_stat_activity AS session ON session.pid = asked.pid
    AND EXISTS (SELECT FROM pg_locks WHERE pid = asked.pid AND virtualtransaction = asked.transaction)
LEFT JOIN pg_locks AS own ON asked.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
    AND own.virtualtransaction = asked.transaction
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
