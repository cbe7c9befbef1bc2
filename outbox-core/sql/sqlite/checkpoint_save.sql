-- Takes the write lock. Finds its row by the primary key.
-- ?1 subscription, ?2 epoch, ?3 position, ?4 open positions, ?5 proof, ?6 partition,
-- ?7 the number of the claim it follows. No row: a newer epoch, a later claim, or it would go back.
UPDATE outbox_checkpoint
SET position = ?3, open_positions = ?4, proof = ?5, epoch = ?2, updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
WHERE subscription = ?1 AND partition_id = ?6 AND epoch <= ?2 AND claims = ?7 AND position <= ?3;
