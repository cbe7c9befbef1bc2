-- The partitions of all subscriptions, without exports by name and holds. Takes no lock in WAL mode. Reads three tables with a
-- row per partition, outbox_meta by its primary key, and dead letters by theirs, once with the first partition.
SELECT s.subscription, s.partition_id,
    c.position, c.open_positions, c.proof, c.epoch,
    l.publisher, l.state, l.last_error, l.holes, r.relay_name,
    coalesce(l.expires_at > (julianday('now') - 2440587.5) * 86400.0, 0) AS owned,
    (julianday('now') - 2440587.5) * 86400.0 AS now,
    (SELECT count(*) FROM outbox_dead_letter d WHERE d.subscription = s.subscription AND s.partition_id = 0
        AND d.state NOT IN ('skipped', 'discarded')
        AND NOT (d.replayed AND d.state IN ('waiting', 'draining'))) AS parked_events,
    (SELECT count(DISTINCT d.event_key) FROM outbox_dead_letter d
        WHERE d.subscription = s.subscription AND s.partition_id = 0
        AND d.state NOT IN ('skipped', 'discarded')
        AND NOT (d.replayed AND d.state IN ('waiting', 'draining'))) AS parked_keys,
    (SELECT nullif(m.value, '') FROM outbox_meta m WHERE m.name = 'paused:' || s.subscription) AS paused
FROM (SELECT subscription, partition_id FROM outbox_checkpoint UNION SELECT subscription, partition_id FROM outbox_lease) s
LEFT JOIN outbox_checkpoint c ON c.subscription = s.subscription AND c.partition_id = s.partition_id
LEFT JOIN outbox_lease l ON l.subscription = s.subscription AND l.partition_id = s.partition_id
LEFT JOIN outbox_relay r ON r.relay_id = l.relay_id
WHERE s.subscription NOT LIKE 'export:%' AND s.subscription NOT LIKE 'hold:%'
ORDER BY s.subscription, s.partition_id;
