-- After checkpoint_save.sql in the same transaction; removes also the record of one that an operator gave up too late. Takes
-- the write lock. Goes by the primary key. ?1 subscription, ?2 positions, [12,15,20].
DELETE FROM outbox_dead_letter
WHERE subscription = ?1 AND position IN (SELECT value FROM json_each(?2))
    AND (state IN ('blocked', 'draining')
        OR state IN ('skipped', 'discarded') AND occurred_at = '1970-01-01T00:00:00.000000Z');
