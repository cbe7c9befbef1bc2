-- Takes the write lock. Finds its row by the primary key. ?1 subscription, ?2 epoch, ?3 partition. Gives the owner's id.
UPDATE outbox_lease SET expires_at = 0 WHERE subscription = ?1 AND partition_id = ?3 AND epoch = ?2 RETURNING relay_id;
