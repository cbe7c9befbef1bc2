-- What a reader remembers of the server it met. Takes ACCESS SHARE on the log for a moment; uses the catalog's indexes.
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
    pg_is_in_recovery() AS standby,
    getdatabaseencoding() = 'UTF8' AS utf8,
    (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
    ARRAY(SELECT relid::oid FROM pg_partition_tree('outbox_event'::regclass)) AS tables
