-- The keys that have letters which are not over; without a key only letters that are to be sent. Takes ACCESS SHARE on
-- outbox_dead_letter; reads the letters of one subscription by the primary key.
SELECT event_key, min(position) AS first, count(*) AS letters, bool_or(state = 'parked') AS parked
FROM outbox_dead_letter
WHERE subscription = $1 AND state IN ('parked', 'waiting', 'requeued', 'draining') AND (event_key <> '' OR state <> 'parked')
GROUP BY event_key, CASE WHEN event_key = '' THEN position END
ORDER BY first
