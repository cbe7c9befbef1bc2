-- Empties the segment 0, in one message: whoever sends it may stop at any moment, and holds no lock while the server waits for
-- him. cleanup_expect.sql runs before it. An error anywhere leaves everything as it was.
-- Locks the row `floor` of outbox_meta and ROW EXCLUSIVE on outbox_checkpoint and outbox_lease, whose rows it changes only to
-- cut somebody off; then ACCESS EXCLUSIVE on the segment. Uses primary keys.
BEGIN ISOLATION LEVEL READ COMMITTED;

-- All that could wait once the segment is locked is TRUNCATE, for a vacuum of the segment's TOAST table.
SET LOCAL lock_timeout = '20ms';

-- One cleaner at a time; another gives up at once.
SELECT value FROM outbox_meta WHERE name = 'floor' FOR UPDATE NOWAIT;

UPDATE outbox_meta SET value = greatest(value::bigint, current_setting('outbox.last')::bigint)::text WHERE name = 'floor';

-- Whoever is cut off is told why when it comes back, and its old epochs are worth nothing.
INSERT INTO outbox_meta (name, value)
SELECT 'cut_off:' || reader, current_setting('outbox.reason')
FROM unnest(current_setting('outbox.cut')::text[]) AS reader
ON CONFLICT (name) DO NOTHING;

UPDATE outbox_checkpoint SET epoch = epoch + 1 WHERE subscription = ANY (current_setting('outbox.cut')::text[]);

UPDATE outbox_lease SET epoch = epoch + 1, last_error = 'cut off: ' || current_setting('outbox.reason')
WHERE subscription = ANY (current_setting('outbox.cut')::text[]) AND expires_at <= clock_timestamp();

-- Never waits, so nobody queues behind it. Fails where anybody writes to the segment, reads it or has prepared something in it.
LOCK TABLE ONLY outbox_event_0 IN ACCESS EXCLUSIVE MODE NOWAIT;

-- Everything again. A new statement, and so a snapshot taken after the lock. Where something does not hold, nothing is
-- counted, and the division by zero ends the transaction.
WITH claim AS MATERIALIZED (
    SELECT checkpoint.position, checkpoint.open_positions
    FROM outbox_checkpoint AS checkpoint
    LEFT JOIN outbox_lease AS lease USING (subscription, partition_id)
    WHERE NOT EXISTS (SELECT FROM outbox_meta WHERE name = 'cut_off:' || checkpoint.subscription)
        AND (checkpoint.subscription NOT LIKE 'hold:%' OR lease.expires_at > clock_timestamp())
), ends AS MATERIALIZED (
    SELECT (SELECT min(position) FROM ONLY outbox_event_0) AS first, (SELECT max(position) FROM ONLY outbox_event_0) AS last
)
SELECT 1 / count(*) AS may_be_emptied
FROM ends
WHERE last = current_setting('outbox.last')::bigint
    -- not the one that inserts go into, unless there is no other
    AND (pg_sequence_last_value('outbox_segment'::regclass) IS DISTINCT FROM /* segment */ 0
        OR (SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox_event'::regclass) = 1)
    AND (EXISTS (SELECT FROM claim) OR cardinality(current_setting('outbox.cut')::text[]) > 0)
    AND NOT EXISTS (SELECT FROM claim WHERE position < ends.last)
    AND NOT EXISTS (
        SELECT FROM claim
        CROSS JOIN LATERAL unnest(
            claim.open_positions::int8multirange * int8multirange(int8range(ends.first, ends.last, '[]'))
        ) AS open (positions)
        WHERE EXISTS (
            SELECT FROM ONLY outbox_event_0 WHERE position >= lower(open.positions) AND position < upper(open.positions)
        )
    )
    -- somebody who was dead may be back
    AND NOT EXISTS (
        SELECT FROM outbox_lease
        WHERE subscription = ANY (current_setting('outbox.cut')::text[]) AND expires_at > clock_timestamp()
    );

TRUNCATE ONLY outbox_event_0;

COMMIT;
