-- The checkpoints of a subscription. Takes ACCESS SHARE on outbox_checkpoint; uses its primary key.
SELECT partition_id, position, open_positions, proof FROM outbox_checkpoint WHERE subscription = $1
