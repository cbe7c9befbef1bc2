-- Takes the write lock. Finds its row by the primary key. ?1 relay id.
DELETE FROM outbox_relay WHERE relay_id = ?1;
