-- Gives a subscription $2 partitions, each with the same checkpoint. Runs after checkpoint_shut.sql. Takes ROW EXCLUSIVE on
-- outbox_checkpoint; uses its primary key.
WITH surplus AS (
    DELETE FROM outbox_checkpoint WHERE subscription = $1 AND partition_id >= $2
)
INSERT INTO outbox_checkpoint (subscription, partition_id, position, open_positions, proof, epoch)
SELECT $1, partition_id, $3, $4, $5, $6
FROM generate_series(0, $2::integer - 1) AS partition_id
ON CONFLICT (subscription, partition_id) DO UPDATE
SET position = excluded.position, open_positions = excluded.open_positions, proof = excluded.proof, epoch = excluded.epoch,
    updated_at = clock_timestamp()
