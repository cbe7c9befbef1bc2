-- Everybody who has a claim on the log: each row but a hold whose lease has ended. Takes no lock in WAL mode. Reads two tables
-- with a row per reader.
SELECT c.subscription, c.position, c.open_positions,
    coalesce(l.expires_at > (julianday('now') - 2440587.5) * 86400.0, 0) AS leased,
    (julianday('now') - 2440587.5) * 86400.0
        - max((julianday(c.updated_at) - 2440587.5) * 86400.0, coalesce(l.expires_at, 0.0)) AS silent_seconds
FROM outbox_checkpoint c
LEFT JOIN outbox_lease l ON l.subscription = c.subscription AND l.partition_id = c.partition_id
WHERE c.subscription NOT LIKE 'hold:%' OR l.expires_at > (julianday('now') - 2440587.5) * 86400.0
ORDER BY c.subscription, c.partition_id;
