-- Moves the checkpoints of the partitions in $2, never back, never under another epoch and never after a later
-- claim ($7 holds the number of each one's own). Takes ROW EXCLUSIVE on outbox_checkpoint and locks their rows, found by the
-- primary key; no index changes.
UPDATE outbox_checkpoint AS stored
SET position = new.position, open_positions = new.open_positions, proof = new.proof, updated_at = clock_timestamp()
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[])
    AS new (partition_id, epoch, position, open_positions, proof, claims)
WHERE stored.subscription = $1 AND stored.partition_id = new.partition_id AND stored.epoch = new.epoch
    AND stored.claims = new.claims AND stored.position <= new.position
