-- The later ones of events that share a position, in order: a sequence that was reset gives positions out again, and each segment
-- has a primary key of its own. Takes ACCESS SHARE on the log; reads all of it.
SELECT segment, place
FROM (
    SELECT tableoid AS segment, ctid::text AS place, position,
        row_number() OVER (PARTITION BY position ORDER BY occurred_at, event_id) AS nth
    FROM outbox_event
) AS ranked
WHERE nth > 1
ORDER BY position, nth
