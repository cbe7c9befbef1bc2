-- Takes no lock in WAL mode, else a shared one while it runs. Three walks over the primary key: positions, sizes, rows.
-- Sizes come from the record headers, so nothing is loaded that the byte limit leaves out.
-- ?1 read above this position, or null; ?2 ranges to read too, [[12,15],[20,20]]; ?3 rows; ?4 bytes.
WITH candidate AS (
    SELECT e.position FROM json_each(?2) r CROSS JOIN outbox_event e ON e.position BETWEEN r.value ->> 0 AND r.value ->> 1
    UNION ALL
    SELECT position FROM outbox_event WHERE position > ?1
    ORDER BY 1 LIMIT ?3
), near AS MATERIALIZED (
    SELECT e.position,
        /* wanted */ true /* end */ AS passes,
        coalesce(octet_length(e.payload), 0) + coalesce(octet_length(e.old_payload), 0)
            + coalesce(octet_length(e.payload_binary), 0) + coalesce(octet_length(e.old_payload_binary), 0)
            + octet_length(e.topic) + octet_length(e.event_key) + coalesce(octet_length(e.headers), 0)
            + coalesce(octet_length(e.event_type), 0) + coalesce(octet_length(e.aggregate_type), 0)
            + coalesce(octet_length(e.tenant_id), 0) + coalesce(octet_length(e.actor), 0) AS size
    FROM candidate c CROSS JOIN outbox_event e ON e.position = c.position
), fitting AS (
    SELECT position, passes,
        sum(CASE WHEN passes THEN size ELSE 0 END) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS bytes
    FROM near
)
SELECT f.position, f.passes, (SELECT count(*) FROM near) AS found,
    e.event_id, e.topic, e.event_key, e.event_type, e.aggregate_type, e.operation,
    e.payload, e.old_payload, e.payload_binary, e.old_payload_binary,
    e.content_type, e.headers, e.tenant_id, e.actor, e.schema_version, e.transaction_id, e.occurred_at
FROM fitting f LEFT JOIN outbox_event e ON f.passes AND e.position = f.position
WHERE f.bytes <= ?4 OR f.position = (SELECT min(position) FROM near);
