-- Per object the statement that gives a user what it lacks, and whether it may write there: $1 is what it is to be, `relay`,
-- `operator` (who reads every table) or `reader` (who reads the log alone). Takes no lock but the catalog's; uses the catalog's
-- indexes.
WITH needed AS (
    SELECT table_name::regclass AS object, privilege, has_table_privilege(table_name::regclass, privilege) AS held
    FROM unnest(ARRAY['outbox_event', 'outbox_meta', 'outbox_checkpoint', 'outbox_lease', 'outbox_relay', 'outbox_dead_letter'])
        WITH ORDINALITY AS every (table_name, place)
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE (place <= 2 AND privilege = 'SELECT') OR (place > 2 AND $1 = 'relay') OR (privilege = 'SELECT' AND $1 = 'operator')
        -- how a subscription is shared, and at which address the log was worked
        OR (place = 2 AND $1 = 'relay' AND privilege <> 'DELETE')
)
SELECT CASE WHEN bool_or(NOT held)
        THEN format('GRANT %s ON %s TO %I', string_agg(privilege, ', ') FILTER (WHERE NOT held), object, current_user) END AS missing,
    bool_or(held AND privilege <> 'SELECT') AS writes
FROM needed
GROUP BY object
UNION ALL
SELECT format('GRANT SELECT ON SEQUENCE %s TO %I', sequence, current_user), false
FROM unnest(ARRAY['outbox_segment'::regclass, pg_get_serial_sequence('outbox_event', 'position')::regclass])
    WITH ORDINALITY AS every (sequence, place)
WHERE ($1 = 'relay' OR ($1 = 'operator' AND place = 1)) AND NOT has_sequence_privilege(sequence, 'SELECT')
