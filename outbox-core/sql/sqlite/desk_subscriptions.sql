-- Takes no lock in WAL mode. Reads the keys of three tables.
SELECT subscription FROM (
    SELECT subscription FROM outbox_checkpoint UNION SELECT subscription FROM outbox_lease
    UNION SELECT subscription FROM outbox_dead_letter
)
WHERE subscription NOT LIKE 'export:%' AND subscription NOT LIKE 'hold:%' ORDER BY subscription;
