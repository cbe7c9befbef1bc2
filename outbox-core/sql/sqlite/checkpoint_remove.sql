-- Removes the checkpoints of a subscription, to make others. Takes the write lock. Goes by the primary key. ?1 subscription.
DELETE FROM outbox_checkpoint WHERE subscription = ?1;
