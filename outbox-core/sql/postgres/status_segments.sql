-- The segments and their sizes on disk; an emptied one has no table pages. Takes ACCESS SHARE on each for a moment; uses
-- the catalog's indexes.
SELECT substring(pg_get_expr(relpartbound, oid) FROM '-?\d+')::smallint AS segment,
    pg_total_relation_size(oid) AS bytes,
    CASE
        WHEN substring(pg_get_expr(relpartbound, oid) FROM '-?\d+')::bigint = pg_sequence_last_value('outbox_segment'::regclass)
        THEN 'current' WHEN pg_relation_size(oid) > 0 THEN 'filled' ELSE 'empty'
    END AS state
FROM pg_class
WHERE oid IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass) WHERE isleaf AND level > 0)
ORDER BY segment
