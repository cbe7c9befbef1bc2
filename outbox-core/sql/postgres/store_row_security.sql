-- The tables of the outbox whose policies bind this user, each with the statement that ends it: owners are bound where it is
-- forced on them, others unless they have BYPASSRLS. What a policy hides looks to a reader like an event that was rolled back, so
-- none is trusted to hide nothing. Takes no lock but the catalog's; uses the catalog's indexes.
SELECT bound.oid::regclass::text AS table_name,
    CASE WHEN pg_has_role(bound.relowner, 'USAGE') THEN format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', bound.oid::regclass)
        ELSE format('ALTER ROLE %I BYPASSRLS', current_user) END AS remedy
FROM pg_class AS bound
WHERE (oid IN ('outbox_event'::regclass, 'outbox_checkpoint'::regclass, 'outbox_lease'::regclass, 'outbox_relay'::regclass,
        'outbox_dead_letter'::regclass, 'outbox_meta'::regclass)
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'outbox_event'::regclass))
    AND row_security_active(oid)
ORDER BY bound.oid::regclass::text
