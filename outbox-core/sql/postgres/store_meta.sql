-- The version and revision of the tables and the outbox's own id. Takes ACCESS SHARE on outbox_meta; uses its primary key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'schema_version') AS schema_version,
    (SELECT value FROM outbox_meta WHERE name = 'revision') AS revision,
    (SELECT value FROM outbox_meta WHERE name = 'instance') AS instance
