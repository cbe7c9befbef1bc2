-- Moves a checkpoint, never back and never under another epoch. Takes ROW EXCLUSIVE on outbox_checkpoint and locks one
-- row, found by its primary key; no index changes.
UPDATE outbox_checkpoint SET position = $3, open_positions = $4, proof = $5, updated_at = clock_timestamp()
WHERE subscription = $1 AND partition_id = 0 AND epoch = $2 AND position <= $3
