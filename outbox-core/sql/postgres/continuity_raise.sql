-- Lets positions go on above $1, beside writers at work: numbers are drawn, which never sets a sequence back. Only where they
-- would be too many the sequence is set, so far ahead of every writer that it is not set back either. Takes ROW EXCLUSIVE on
-- the sequence for a moment.
SELECT max(raised.position)
FROM (
    SELECT sequence, $1::bigint - coalesce(pg_sequence_last_value(sequence), 0) AS missing
    FROM (SELECT pg_get_serial_sequence('outbox_event', 'position')::regclass AS sequence) AS named
) AS own
CROSS JOIN LATERAL (
    SELECT setval(own.sequence, $1) AS position WHERE own.missing > 1000000
    UNION ALL
    SELECT nextval(own.sequence) FROM generate_series(1, own.missing) WHERE own.missing <= 1000000
) AS raised
