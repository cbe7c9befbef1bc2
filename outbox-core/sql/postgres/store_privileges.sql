-- The statements that give a user what it lacks: for $1 all that a relay needs, else what is needed to read the log. Takes
-- no lock but the catalog's; uses the catalog's indexes.
SELECT format('GRANT %s ON %s TO %I', string_agg(privilege, ', '), table_name::regclass, current_user) AS missing
FROM (VALUES
    ('outbox_event', 'SELECT'),
    ('outbox_meta', 'SELECT'), ('outbox_meta', 'INSERT'), ('outbox_meta', 'UPDATE'),
    ('outbox_checkpoint', 'SELECT'), ('outbox_checkpoint', 'INSERT'), ('outbox_checkpoint', 'UPDATE'), ('outbox_checkpoint', 'DELETE'),
    ('outbox_lease', 'SELECT'), ('outbox_lease', 'INSERT'), ('outbox_lease', 'UPDATE'), ('outbox_lease', 'DELETE'),
    ('outbox_relay', 'SELECT'), ('outbox_relay', 'INSERT'), ('outbox_relay', 'UPDATE'), ('outbox_relay', 'DELETE'),
    ('outbox_dead_letter', 'SELECT'), ('outbox_dead_letter', 'INSERT'), ('outbox_dead_letter', 'UPDATE'), ('outbox_dead_letter', 'DELETE')
) AS needed (table_name, privilege)
WHERE ($1 OR (privilege = 'SELECT' AND table_name IN ('outbox_event', 'outbox_meta')))
    AND NOT has_table_privilege(table_name::regclass, privilege)
GROUP BY table_name
UNION ALL
SELECT format('GRANT SELECT ON SEQUENCE %s TO %I', sequence, current_user)
FROM unnest(ARRAY['outbox_segment'::regclass, pg_get_serial_sequence('outbox_event', 'position')::regclass]) AS sequence
WHERE $1 AND NOT has_sequence_privilege(sequence, 'SELECT')
