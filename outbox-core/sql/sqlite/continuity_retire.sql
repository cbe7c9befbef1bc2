-- Gives up every address but ?1: it stays on record, under the time at which it was given up. Takes the write lock. Reads the few
-- rows of the table.
UPDATE outbox_meta SET name = 'left:' || strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z:' || substr(name, 9)
WHERE name LIKE 'address:%' AND name <> 'address:' || ?1;
