-- Takes the write lock. Goes by the primary keys. ?1 subscription, ?2 epoch, ?3 position, ?4 open positions, ?5 proof.
-- No row is written where a newer epoch holds the checkpoint, or only the lease as yet, nor a first one below the floor.
INSERT INTO outbox_checkpoint (subscription, partition_id, position, open_positions, proof, epoch)
SELECT ?1, 0, ?3, ?4, ?5, ?2
WHERE NOT EXISTS (SELECT 1 FROM outbox_lease WHERE subscription = ?1 AND partition_id = 0 AND epoch > ?2)
    AND (?3 >= (SELECT CAST(value AS INTEGER) FROM outbox_meta WHERE name = 'floor')
        OR EXISTS (SELECT 1 FROM outbox_checkpoint WHERE subscription = ?1 AND partition_id = 0))
ON CONFLICT (subscription, partition_id) DO UPDATE SET epoch = excluded.epoch
WHERE outbox_checkpoint.epoch <= excluded.epoch;
