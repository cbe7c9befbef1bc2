-- The rows that rule these subscriptions. Takes no lock in WAL mode. Goes by the primary key. ?1 the names, as JSON.
SELECT name, value FROM outbox_meta
WHERE name IN (SELECT 'partitions:' || value FROM json_each(?1) UNION ALL SELECT 'paused:' || value FROM json_each(?1)
    UNION ALL SELECT 'letters:' || value FROM json_each(?1));
