-- After checkpoint_save.sql in the same transaction. Takes the write lock. Goes by the primary key.
-- ?1 subscription, ?2 positions, [12,15,20].
UPDATE outbox_dead_letter SET state = 'waiting'
WHERE subscription = ?1 AND state = 'draining' AND position IN (SELECT value FROM json_each(?2));
