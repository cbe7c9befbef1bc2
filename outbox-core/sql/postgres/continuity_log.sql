-- Both ends of the log, how far positions were given out, and whether this user may raise them. Takes ACCESS SHARE on the log,
-- its sequence, outbox_meta and outbox_dead_letter; reads both ends of each segment's primary key, and dead letters whole.
SELECT CASE WHEN has_sequence_privilege(sequence, 'SELECT') THEN coalesce(pg_sequence_last_value(sequence), 0) END AS last_drawn,
    (SELECT min(position) FROM outbox_event) AS lowest,
    (SELECT max(position) FROM outbox_event) AS highest,
    (SELECT value::bigint FROM outbox_meta WHERE name = 'floor') AS floor,
    (SELECT max(position) FROM outbox_dead_letter) AS letters,
    has_table_privilege('outbox_event', 'UPDATE') AS may_move,
    format('GRANT UPDATE ON %s TO %I', 'outbox_event'::regclass, current_user) AS grant_move,
    has_sequence_privilege(sequence, 'UPDATE') AS may_raise,
    format('GRANT UPDATE ON SEQUENCE %s TO %I', sequence, current_user) AS grant_raise
FROM (SELECT pg_get_serial_sequence('outbox_event', 'position')::regclass AS sequence) AS own
