-- Where this outbox was worked so far, and what the server says of itself. Takes ACCESS SHARE on outbox_meta; uses its primary
-- key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'instance') AS instance,
    (SELECT value FROM outbox_meta WHERE name = 'server') AS server,
    ARRAY(SELECT substr(name, 9) FROM outbox_meta WHERE name LIKE 'address:%' ORDER BY name) AS addresses,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
    has_function_privilege('pg_control_system()', 'EXECUTE') AS has_cluster
