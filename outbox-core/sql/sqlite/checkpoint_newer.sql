-- Takes no lock of its own: asked within a write transaction. Finds its row by the primary key. ?1 subscription, ?2 epoch.
SELECT EXISTS (SELECT 1 FROM outbox_checkpoint WHERE subscription = ?1 AND partition_id = 0 AND epoch > ?2);
