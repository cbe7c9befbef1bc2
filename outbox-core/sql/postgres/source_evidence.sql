-- What a read cannot see: whether the server is still the one it was, how far its WAL is on disk, the last position drawn
-- at this moment (null for a user who may not read the sequence), and, if asked, who may still fill a missing position. Runs after the read, so in a later snapshot. Takes
-- ROW EXCLUSIVE on the sequence for a moment and the lock table's own light locks; uses the catalog's indexes.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
    pg_is_in_recovery() AS standby,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint END AS flushed,
    CASE WHEN has_sequence_privilege(pg_get_serial_sequence('outbox_event', 'position'), 'SELECT')
        THEN coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox_event', 'position')::regclass), 0) END AS last_position,
    CASE WHEN $1::boolean THEN ARRAY(
        -- The modes that conflict with SHARE: what every writer of the log takes, and no reader.
        SELECT DISTINCT virtualtransaction || ' ' || coalesce(pid::text, 'prepared')
        FROM pg_locks
        WHERE locktype = 'relation'
            AND database = $2::oid
            AND relation = ANY ($3::oid[])
            AND granted
            AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            AND pid IS DISTINCT FROM pg_backend_pid()
    ) END AS holders
