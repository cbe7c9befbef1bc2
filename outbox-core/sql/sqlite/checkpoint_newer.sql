-- Takes no lock of its own: asked within a write transaction. Finds its row by the primary key. ?1 subscription, ?2 epoch, ?3 partition.
SELECT EXISTS (SELECT 1 FROM outbox_checkpoint WHERE subscription = ?1 AND partition_id = ?3 AND epoch > ?2);
