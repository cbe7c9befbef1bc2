-- Takes the write lock. Reads the table, which has a row per subscription. ?1 relay id. The epoch stays, so that it grows.
UPDATE outbox_lease SET expires_at = 0, state = 'idle', holes = NULL WHERE relay_id = ?1;
