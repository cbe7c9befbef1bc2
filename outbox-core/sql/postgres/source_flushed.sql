-- How far the WAL is on disk. Takes no lock.
SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint
