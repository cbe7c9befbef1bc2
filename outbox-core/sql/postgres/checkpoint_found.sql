-- Makes the checkpoints of a new subscription of $2 partitions, unless there are some, or they lie below the floor. Runs after
-- checkpoint_lock.sql and checkpoint_rule.sql. Takes ACCESS SHARE on outbox_meta and ROW EXCLUSIVE on outbox_checkpoint; uses
-- the primary keys.
INSERT INTO outbox_checkpoint (subscription, partition_id, position, open_positions, proof)
SELECT $1, partition_id, $3, $4, $5
FROM generate_series(0, $2::integer - 1) AS partition_id
WHERE NOT EXISTS (SELECT FROM outbox_checkpoint WHERE subscription = $1)
    AND $3 >= (SELECT value::bigint FROM outbox_meta WHERE name = 'floor')
