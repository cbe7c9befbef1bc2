-- Lets inserts go on in the segment $2, if they go into $1 and $2 is empty. A sequence is not MVCC, so both are looked at as
-- they are at this moment, and the row `floor` of outbox_meta keeps another cleaner from doing the same. Takes ACCESS SHARE on
-- the log; reads one end of a primary key.
WITH alone AS MATERIALIZED (
    SELECT FROM outbox_meta WHERE name = 'floor' FOR UPDATE SKIP LOCKED
)
SELECT setval('outbox_segment', $2::bigint, true)
FROM alone
WHERE pg_sequence_last_value('outbox_segment'::regclass) = $1::bigint
    AND NOT EXISTS (SELECT FROM outbox_event WHERE segment = $2::smallint)
