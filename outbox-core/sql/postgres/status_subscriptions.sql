-- The partitions of all subscriptions, without exports by name and holds. Takes ACCESS SHARE on outbox_checkpoint,
-- outbox_lease, outbox_relay, outbox_dead_letter and outbox_meta; reads the first three, which have a row per partition or
-- relay, and dead letters and outbox_meta by their primary keys.
SELECT subscription, partition_id, checkpoint.position, checkpoint.open_positions, checkpoint.proof, checkpoint.epoch,
    lease.publisher, lease.state, lease.last_error, lease.holes, owner.relay_name,
    coalesce(lease.expires_at > clock_timestamp(), false) AS owned,
    extract(epoch FROM clock_timestamp())::float8 AS now,
    letters.parked_events, letters.parked_keys,
    (SELECT nullif(value, '') FROM outbox_meta WHERE name = 'paused:' || subscription) AS paused
FROM (SELECT subscription, partition_id FROM outbox_checkpoint UNION SELECT subscription, partition_id FROM outbox_lease) AS named
LEFT JOIN outbox_checkpoint AS checkpoint USING (subscription, partition_id)
LEFT JOIN outbox_lease AS lease USING (subscription, partition_id)
LEFT JOIN outbox_relay AS owner ON owner.relay_id = lease.relay_id
CROSS JOIN LATERAL (
    SELECT count(*) AS parked_events, count(DISTINCT event_key) AS parked_keys
    -- counted once, with the first partition
    FROM outbox_dead_letter AS letter WHERE letter.subscription = named.subscription AND named.partition_id = 0
        AND letter.state NOT IN ('skipped', 'discarded')
        AND NOT (letter.replayed AND letter.state IN ('waiting', 'draining'))
) AS letters
WHERE subscription NOT LIKE 'export:%' AND subscription NOT LIKE 'hold:%'
ORDER BY subscription, partition_id
