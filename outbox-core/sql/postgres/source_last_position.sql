-- The last position drawn; null for a user who may not read the sequence. A sequence is not MVCC: this is the value of this
-- moment. Takes ACCESS SHARE on the sequence.
SELECT CASE WHEN has_sequence_privilege(sequence, 'SELECT') THEN coalesce(pg_sequence_last_value(sequence), 0) END
FROM (SELECT pg_get_serial_sequence('outbox_event', 'position')::regclass AS sequence) AS own
