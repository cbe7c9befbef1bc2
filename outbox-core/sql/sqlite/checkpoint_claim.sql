-- Takes the write lock. Finds its row by the primary key. ?1 subscription, ?2 epoch. No row: another epoch is newer.
UPDATE outbox_checkpoint SET epoch = ?2 WHERE subscription = ?1 AND partition_id = 0 AND epoch <= ?2
RETURNING position, open_positions, proof;
