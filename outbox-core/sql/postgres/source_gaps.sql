-- The missing positions above $1, up to $2, in one snapshot. Takes ACCESS SHARE on the log; scans its primary keys in order.
SELECT coalesce(previous, $1) + 1 AS first, position - 1 AS last
FROM (
    SELECT position, lag(position) OVER (ORDER BY position) AS previous
    FROM (
        SELECT position FROM outbox_event WHERE position > $1 AND position <= $2
        UNION ALL SELECT $2 + 1
    ) seen
) neighbours
WHERE position > coalesce(previous, $1) + 1
ORDER BY position
