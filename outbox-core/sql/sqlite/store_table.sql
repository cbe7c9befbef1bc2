-- Takes no lock in WAL mode. Reads the catalog.
SELECT sqlite_version() AS server_version,
    (SELECT sql FROM sqlite_master WHERE type = 'table' AND name = trim('outbox_event', '"')) AS event_table,
    (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = trim('outbox_meta', '"')) AS has_meta;
