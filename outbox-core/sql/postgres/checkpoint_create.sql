-- Writes the first checkpoint, unless it lies below the floor; of one that is there only the epoch moves, and only upwards.
-- Runs after checkpoint_lock.sql. Takes ACCESS SHARE on outbox_meta and ROW EXCLUSIVE on outbox_checkpoint and locks one row,
-- found by its primary key.
INSERT INTO outbox_checkpoint AS stored (subscription, partition_id, epoch, position, open_positions, proof)
SELECT $1, 0, $2, $3, $4, $5
WHERE $3 >= (SELECT value::bigint FROM outbox_meta WHERE name = 'floor')
    OR EXISTS (SELECT FROM outbox_checkpoint WHERE subscription = $1 AND partition_id = 0)
ON CONFLICT (subscription, partition_id) DO UPDATE SET epoch = excluded.epoch WHERE stored.epoch <= excluded.epoch
