-- The statements that give the user what cleaning needs beyond a relay's privileges. Takes no lock but the catalog's; uses the
-- catalog's indexes.
SELECT format('GRANT %s ON %s TO %I', string_agg(privilege, ', '), relid, current_user) AS missing
FROM pg_partition_tree('outbox_event'::regclass)
CROSS JOIN unnest(ARRAY['SELECT', 'TRUNCATE']) AS privilege
WHERE isleaf AND level > 0 AND NOT has_table_privilege(relid, privilege)
GROUP BY relid
UNION ALL
SELECT format('GRANT %s ON %s TO %I', privilege, 'outbox_meta'::regclass, current_user)
FROM unnest(ARRAY['INSERT', 'UPDATE']) AS privilege
WHERE NOT has_table_privilege('outbox_meta'::regclass, privilege)
UNION ALL
SELECT format('GRANT UPDATE ON SEQUENCE %s TO %I', 'outbox_segment'::regclass, current_user)
WHERE NOT has_sequence_privilege('outbox_segment'::regclass, 'UPDATE')
