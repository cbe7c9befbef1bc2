-- Takes no lock in WAL mode. Reads the catalog.
SELECT sqlite_version() AS server_version,
    (SELECT sql FROM sqlite_master WHERE type = 'table' AND name = trim('outbox_event', '"')) AS event_table,
    (SELECT group_concat(column1, ', ') FROM (VALUES ('position'), ('event_id'), ('topic'), ('event_key'), ('event_type'),
            ('aggregate_type'), ('operation'), ('payload'), ('old_payload'), ('payload_binary'), ('old_payload_binary'),
            ('content_type'), ('headers'), ('tenant_id'), ('actor'), ('schema_version'), ('transaction_id'), ('occurred_at'))
        WHERE column1 NOT IN (SELECT name FROM pragma_table_info(trim('outbox_event', '"')))) AS missing,
    (SELECT group_concat(trim(column1, '"'), ', ')
        FROM (VALUES ('outbox_event'), ('outbox_checkpoint'), ('outbox_lease'), ('outbox_dead_letter'), ('outbox_relay'))
        WHERE trim(column1, '"') NOT IN (SELECT name FROM sqlite_master WHERE type = 'table')) AS absent,
    (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = trim('outbox_meta', '"')) AS has_meta;
