-- The subscriptions, without exports by name and holds. Takes ACCESS SHARE on outbox_checkpoint, outbox_lease, outbox_relay and outbox_dead_letter; reads the
-- first three, which have a row per subscription or relay, and dead letters by their primary key.
SELECT subscription, checkpoint.position, checkpoint.open_positions, checkpoint.epoch,
    lease.publisher, lease.state, lease.last_error, lease.holes, owner.relay_name,
    coalesce(lease.expires_at > clock_timestamp(), false) AS owned,
    extract(epoch FROM clock_timestamp())::float8 AS now,
    (SELECT count(*) FROM outbox_dead_letter AS letter WHERE letter.subscription = named.subscription) AS parked_events,
    (SELECT count(DISTINCT event_key) FROM outbox_dead_letter AS letter WHERE letter.subscription = named.subscription)
        AS parked_keys
FROM (SELECT subscription FROM outbox_checkpoint UNION SELECT subscription FROM outbox_lease) AS named
LEFT JOIN (SELECT * FROM outbox_checkpoint WHERE partition_id = 0) AS checkpoint USING (subscription)
LEFT JOIN (SELECT * FROM outbox_lease WHERE partition_id = 0) AS lease USING (subscription)
LEFT JOIN outbox_relay AS owner ON owner.relay_id = lease.relay_id
WHERE named.subscription NOT LIKE 'export:%' AND named.subscription NOT LIKE 'hold:%'
ORDER BY subscription
