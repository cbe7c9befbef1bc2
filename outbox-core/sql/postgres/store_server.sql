-- What the server says of itself, and where the outbox is. Takes no lock; uses the catalog's indexes.
SELECT current_setting('server_version_num')::integer AS version,
    current_setting('server_version') AS version_text,
    pg_is_in_recovery() AS standby,
    current_database()::text AS name,
    to_regclass('outbox_meta') IS NOT NULL AS migrated,
    to_regclass('outbox_event') IS NOT NULL AS has_log,
    has_table_privilege(to_regclass('outbox_meta'), 'SELECT') AS readable
