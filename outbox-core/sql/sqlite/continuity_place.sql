-- Where this outbox was worked so far. Takes no lock in WAL mode; uses the primary key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'instance') AS instance,
    (SELECT value FROM outbox_meta WHERE name = 'server') AS server,
    (SELECT json_group_array(substr(name, 9)) FROM outbox_meta WHERE name LIKE 'address:%') AS addresses;
