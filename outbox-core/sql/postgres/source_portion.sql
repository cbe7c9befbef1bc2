-- The condition of a reader that works some partitions of a subscription. What stands between the marks goes where a statement
-- that reads the log has the same ones, the parameters counted on from its own: of so many partitions ($1) these ($2). The
-- partition is the one of outbox_core::partition::partition_of. Hashes stand in a subquery of the key alone, so that the planner
-- may keep them from one event of a key to the next. Takes ACCESS SHARE on the log; as it stands it reads all of it.
SELECT position
FROM outbox_event /* hashed */ CROSS JOIN LATERAL (SELECT sha256(convert_to(event_key, 'UTF8')) AS hash OFFSET 0) hashed /* end */
WHERE /* mine */ (CASE WHEN event_key = '' THEN position
        ELSE (get_byte(hash, 0)::bigint << 24) + (get_byte(hash, 1) << 16) + (get_byte(hash, 2) << 8) + get_byte(hash, 3)
    END % $1::bigint = ANY ($2::bigint[])) /* end */
