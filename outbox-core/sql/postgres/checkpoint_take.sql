-- Takes the first letters of a key that is not parked, or the one letter without a key at $3, at most $4 and $5 bytes. Takes ROW
-- EXCLUSIVE on outbox_dead_letter; finds the key by its hash. The first columns are those of source_read.sql.
WITH queue AS MATERIALIZED (
    SELECT position, size, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS running
    FROM (
        SELECT position, coalesce(octet_length(payload), 0) + coalesce(octet_length(old_payload), 0)
            + coalesce(octet_length(payload_binary), 0) + coalesce(octet_length(old_payload_binary), 0)
            + octet_length(topic) + octet_length(event_key) + coalesce(octet_length(headers), 0) AS size
        FROM outbox_dead_letter
        WHERE subscription = $1 AND event_key = $2 AND state IN ('waiting', 'requeued', 'draining')
            AND ($2 <> '' OR position = $3)
            AND NOT EXISTS (
                SELECT FROM outbox_dead_letter WHERE subscription = $1 AND event_key = $2 AND $2 <> '' AND state = 'parked'
            )
        ORDER BY position LIMIT $4
    ) sized
), taken AS (
    UPDATE outbox_dead_letter AS letter SET state = 'draining'
    FROM queue
    WHERE letter.subscription = $1 AND letter.position = queue.position AND letter.partition_id = 0
        AND (queue.running <= $5 OR queue.running = queue.size) AND letter.state IN ('waiting', 'requeued', 'draining')
    RETURNING letter.*
)
SELECT position, event_id, occurred_at, schema_version, true AS wanted, false AS shortened, NULL::bigint AS inserted,
    topic, event_key, event_type, aggregate_type, operation, payload, old_payload, payload_binary, old_payload_binary,
    content_type, headers, tenant_id, actor, transaction_id,
    readable, reason, attempts, replayed, (SELECT count(*) FROM queue) AS found
FROM taken ORDER BY position
