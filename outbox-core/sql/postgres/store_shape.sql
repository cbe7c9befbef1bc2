-- Whether the log is a table that `migrate.sql` made: its kind, which of its columns it lacks or has in another type, and which
-- of the other tables are not there. Takes no lock but the catalog's; uses the catalog's indexes.
SELECT log.relkind::text AS kind,
    (SELECT string_agg(wanted.name, ', ' ORDER BY wanted.place)
        FROM unnest(
            ARRAY['position', 'segment', 'event_id', 'topic', 'event_key', 'event_type', 'aggregate_type', 'operation', 'payload',
                'old_payload', 'payload_binary', 'old_payload_binary', 'content_type', 'headers', 'tenant_id', 'actor',
                'schema_version', 'transaction_id', 'occurred_at'],
            ARRAY['bigint', 'smallint', 'uuid', 'text', 'text', 'text', 'text', 'text', 'text', 'text', 'bytea', 'bytea', 'text',
                'text', 'text', 'text', 'integer', 'text', 'timestamptz']::regtype[]
        ) WITH ORDINALITY AS wanted (name, type, place)
        LEFT JOIN pg_attribute ON attrelid = log.oid AND attname = wanted.name AND atttypid = wanted.type AND NOT attisdropped
        WHERE attname IS NULL) AS missing,
    concat_ws(', ', CASE WHEN to_regclass('outbox_checkpoint') IS NULL THEN 'outbox_checkpoint' END,
        CASE WHEN to_regclass('outbox_lease') IS NULL THEN 'outbox_lease' END,
        CASE WHEN to_regclass('outbox_dead_letter') IS NULL THEN 'outbox_dead_letter' END,
        CASE WHEN to_regclass('outbox_relay') IS NULL THEN 'outbox_relay' END,
        CASE WHEN to_regclass('outbox_meta') IS NULL THEN 'outbox_meta' END,
        CASE WHEN to_regclass('outbox_segment') IS NULL THEN 'outbox_segment' END) AS absent
FROM pg_class AS log
WHERE log.oid = to_regclass('outbox_event')
