-- Removes the records of events that did pass, unless the checkpoint has a newer epoch, which the answer says. Takes ROW
-- SHARE on outbox_checkpoint and locks its row against a claim; takes ROW EXCLUSIVE on outbox_dead_letter; uses the
-- primary keys.
WITH guard AS MATERIALIZED (
    SELECT epoch FROM outbox_checkpoint WHERE subscription = $1 AND partition_id = 0 FOR UPDATE
), forgiven AS (
    DELETE FROM outbox_dead_letter
    WHERE subscription = $1 AND partition_id = 0 AND position = ANY ($3::bigint[]) AND state = 'blocked'
        AND NOT EXISTS (SELECT FROM guard WHERE epoch > $2)
)
SELECT EXISTS (SELECT FROM guard WHERE epoch > $2) AS fenced
