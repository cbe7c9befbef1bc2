-- The version and revision of the tables, the outbox's own id, and whether the sequence of the wake is there. Takes ACCESS SHARE on
-- outbox_meta; uses its primary key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'schema_version') AS schema_version,
    (SELECT value FROM outbox_meta WHERE name = 'revision') AS revision,
    (SELECT value FROM outbox_meta WHERE name = 'instance') AS instance,
    to_regclass('outbox_wake') IS NOT NULL AS has_wake
