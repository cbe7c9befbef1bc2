-- After checkpoint_take.sql in the same transaction. Goes by the index of keys. ?1 subscription, ?2 key.
SELECT count(*) FROM outbox_dead_letter WHERE subscription = ?1 AND event_key = ?2 AND ?2 <> '' AND state IN ('waiting', 'requeued');
