-- Takes the write lock. Finds its row by the primary key. ?1 subscription, ?2 epoch, ?3 partition. No row: another epoch is
-- newer, or there is none.
UPDATE outbox_checkpoint SET epoch = ?2, claims = claims + 1 WHERE subscription = ?1 AND partition_id = ?3 AND epoch <= ?2
RETURNING partition_id, claims, position, open_positions, proof;
