-- Sets a checkpoint back under a new epoch, which shuts out whoever worked it before. Takes the write lock. Finds its row by
-- the primary key. ?1 subscription, ?2 partition, ?3 position, ?4 open positions, ?5 proof, ?6 epoch.
UPDATE outbox_checkpoint
SET position = ?3, open_positions = ?4, proof = ?5, epoch = ?6, updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
WHERE subscription = ?1 AND partition_id = ?2;
