-- Takes no lock in WAL mode. Walks the primary key of one subscription. ?1 subscription.
SELECT event_key, min(position) AS first, count(*) AS letters, max(state = 'parked') AS parked
FROM outbox_dead_letter
WHERE subscription = ?1 AND state IN ('parked', 'waiting', 'requeued', 'draining') AND (event_key <> '' OR state <> 'parked')
GROUP BY event_key, CASE WHEN event_key = '' THEN position END
ORDER BY first;
