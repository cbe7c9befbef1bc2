-- Which of these positions have a letter, whatever its state. Takes no lock in WAL mode. Goes by the primary key.
-- ?1 subscription, ?2 positions, [12,15,20].
SELECT position FROM outbox_dead_letter
WHERE subscription = ?1 AND partition_id = 0 AND position IN (SELECT value FROM json_each(?2))
ORDER BY position;
