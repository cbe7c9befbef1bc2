-- The condition of a filter. What stands between its marks goes between those of a statement that reads the log, where the
-- parameters are counted on from the statement's own. An empty list wants all, and so does a time that is null. Takes
-- ACCESS SHARE on the log; as it stands it reads all of it.
SELECT position FROM outbox_event
WHERE /* wanted */ coalesce(
    (cardinality($1::text[]) = 0 OR topic LIKE ANY ($1))
    AND (cardinality($2::text[]) = 0 OR aggregate_type = ANY ($2))
    AND (cardinality($3::text[]) = 0 OR event_key = ANY ($3))
    AND (cardinality($4::text[]) = 0 OR tenant_id = ANY ($4))
    AND (cardinality($5::text[]) = 0 OR operation = ANY ($5))
    AND ($6::timestamptz IS NULL OR occurred_at >= $6)
    AND ($7::timestamptz IS NULL OR occurred_at < $7), false) /* end */
