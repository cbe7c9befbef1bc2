-- The segments with both ends of each. Takes ACCESS SHARE on the log, and on each segment for a moment; reads both ends of each
-- primary key.
SELECT leaf.segment, leaf.bytes, leaf.segment = pg_sequence_last_value('outbox_segment'::regclass) AS current,
    lowest.position AS first, highest.position AS last, lowest.age_seconds AS first_age
FROM (
    SELECT substring(pg_get_expr(relpartbound, oid) FROM '-?\d+')::smallint AS segment, pg_total_relation_size(oid) AS bytes
    FROM pg_class
    WHERE oid IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass) WHERE isleaf AND level > 0)
) AS leaf
LEFT JOIN LATERAL (
    SELECT position,
        CASE WHEN isfinite(occurred_at) THEN extract(epoch FROM clock_timestamp() - occurred_at)::float8 END AS age_seconds
    FROM outbox_event WHERE segment = leaf.segment ORDER BY position LIMIT 1
) AS lowest ON true
LEFT JOIN LATERAL (
    SELECT position FROM outbox_event WHERE segment = leaf.segment ORDER BY position DESC LIMIT 1
) AS highest ON true
ORDER BY leaf.segment
