-- Lets positions go on above $1, beside writers at work: numbers are drawn, which never sets a sequence back. Only where they
-- would be too many the sequence is set, so far ahead of every writer that it is not set back either. Takes ROW EXCLUSIVE on
-- the sequence for a moment.
SELECT CASE WHEN $1 - last > 1000000 THEN setval(sequence, $1)
    ELSE (SELECT max(nextval(sequence)) FROM generate_series(1, $1 - last)) END
FROM (
    SELECT sequence, coalesce(pg_sequence_last_value(sequence), 0) AS last
    FROM (SELECT pg_get_serial_sequence('outbox_event', 'position')::regclass AS sequence) AS named
) AS own
WHERE $1 > last
