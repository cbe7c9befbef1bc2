-- Shuts older epochs out of the partitions in $2, and what was sent before this claim, and answers with their checkpoints; a row with claimed = false has a newer
-- epoch. Takes ROW EXCLUSIVE on outbox_checkpoint and locks the rows, found by the primary key.
WITH asked AS (
    SELECT partition_id, epoch FROM unnest($2::integer[], $3::bigint[]) AS asked (partition_id, epoch)
), claimed AS (
    UPDATE outbox_checkpoint AS stored SET epoch = asked.epoch, claims = stored.claims + 1
    FROM asked
    WHERE stored.subscription = $1 AND stored.partition_id = asked.partition_id AND stored.epoch <= asked.epoch
    RETURNING stored.partition_id, stored.claims, stored.position, stored.open_positions, stored.proof
)
SELECT true AS claimed, partition_id, claims, position, open_positions, proof FROM claimed
UNION ALL
SELECT false, stored.partition_id, stored.claims, stored.position, stored.open_positions, stored.proof
FROM outbox_checkpoint AS stored JOIN asked USING (partition_id)
WHERE stored.subscription = $1 AND NOT EXISTS (SELECT FROM claimed WHERE claimed.partition_id = stored.partition_id)
