-- The first visible position captured at or after a time. Takes ACCESS SHARE on the log; walks its primary keys in order
-- until it meets one, for there is no index on the time.
SELECT position FROM outbox_event WHERE position > $1 AND occurred_at >= $2 ORDER BY position LIMIT 1
