-- Events a relay remembers that are not there as it remembers them. Takes ACCESS SHARE on the log; looks each up in the
-- primary keys.
SELECT remembered.position, found.event_id
FROM unnest($1::bigint[], $2::uuid[]) AS remembered (position, event_id)
LEFT JOIN LATERAL (
    SELECT event_id FROM outbox_event WHERE position = remembered.position OFFSET 0
) found ON true
WHERE found.event_id IS DISTINCT FROM remembered.event_id AND remembered.position > $3
ORDER BY remembered.position LIMIT 1
