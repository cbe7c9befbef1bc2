-- Everybody who has a claim on the log: each row but a hold whose lease has ended. Takes ACCESS SHARE on outbox_checkpoint,
-- outbox_lease and outbox_meta; reads the first, which has a row per reader, and the others by their primary keys.
SELECT checkpoint.subscription, checkpoint.position,
    coalesce(lease.expires_at > clock_timestamp(), false) AS leased,
    extract(epoch FROM clock_timestamp() - greatest(checkpoint.updated_at, lease.expires_at))::float8 AS silent_seconds,
    cut.name IS NOT NULL AS cut_off
FROM outbox_checkpoint AS checkpoint
LEFT JOIN outbox_lease AS lease USING (subscription, partition_id)
LEFT JOIN outbox_meta AS cut ON cut.name = 'cut_off:' || checkpoint.subscription
WHERE checkpoint.subscription NOT LIKE 'hold:%' OR lease.expires_at > clock_timestamp()
ORDER BY checkpoint.subscription, checkpoint.partition_id
