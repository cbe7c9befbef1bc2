-- Moves the checkpoints of the partitions in $2, never back and never under another epoch. Takes ROW EXCLUSIVE on
-- outbox_checkpoint and locks their rows, found by the primary key; no index changes.
UPDATE outbox_checkpoint AS stored
SET position = new.position, open_positions = new.open_positions, proof = new.proof, updated_at = clock_timestamp()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
    AS new (partition_id, epoch, position, open_positions, proof)
WHERE stored.subscription = $1 AND stored.partition_id = new.partition_id AND stored.epoch = new.epoch
    AND stored.position <= new.position
