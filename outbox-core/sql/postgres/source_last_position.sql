-- The last position drawn. A sequence is not MVCC: this is the value of this moment. Takes ACCESS SHARE on the sequence.
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox_event', 'position')::regclass), 0)
