-- Shuts older epochs out and answers with the checkpoint; a row with claimed = false has a newer epoch. Takes ROW
-- EXCLUSIVE on outbox_checkpoint and locks one row, found by its primary key.
WITH claimed AS (
    UPDATE outbox_checkpoint SET epoch = $2 WHERE subscription = $1 AND partition_id = 0 AND epoch <= $2
    RETURNING position, open_positions, proof
)
SELECT true AS claimed, position, open_positions, proof FROM claimed
UNION ALL
SELECT false, position, open_positions, proof FROM outbox_checkpoint
WHERE subscription = $1 AND partition_id = 0 AND NOT EXISTS (SELECT FROM claimed)
