-- Removes events. Takes the write lock. Finds each by the primary key. ?1 positions, [12,15,20].
DELETE FROM outbox_event WHERE position IN (SELECT value FROM json_each(?1));
