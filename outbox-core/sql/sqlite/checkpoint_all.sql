-- The checkpoints of a subscription. Takes no lock in WAL mode. Goes by the primary key. ?1 subscription.
SELECT partition_id, position, open_positions, proof, epoch FROM outbox_checkpoint WHERE subscription = ?1;
