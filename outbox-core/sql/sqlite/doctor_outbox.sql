-- How file and outbox stand: a row a check, with a verdict (ok, warning, failed) and its remedy. Takes no lock in WAL mode, else
-- a shared one while it runs; reads both ends of the log's primary key and the small tables whole.
SELECT name, verdict, found, CASE WHEN verdict <> 'ok' THEN remedy END AS remedy
FROM (
    SELECT 1 AS place, 'journal' AS name, CASE journal_mode WHEN 'wal' THEN 'ok' ELSE 'warning' END AS verdict,
        'journal_mode = ' || journal_mode AS found,
        'PRAGMA journal_mode = WAL: otherwise a reader keeps writers waiting, and a writer readers' AS remedy
    FROM pragma_journal_mode
    UNION ALL
    SELECT 2, 'foreign keys', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'failed' END,
        CASE WHEN count(*) = 0 THEN 'none points at the log' ELSE group_concat(m.name, ', ') || ' point at the log' END,
        'remove them: cleanup could not remove what they point at'
    FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k
    WHERE m.type = 'table' AND k."table" = trim('outbox_event', '"')
    UNION ALL
    SELECT 3, 'triggers', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'none on the log' ELSE group_concat(name, ', ') END,
        'a trigger of your own on the log is paid by every business transaction, and its failure fails them'
    FROM sqlite_master WHERE type = 'trigger' AND tbl_name = trim('outbox_event', '"')
    UNION ALL
    SELECT 4, 'relays',
        CASE WHEN count(*) FILTER (WHERE seen_at > (julianday('now') - 2440587.5) * 86400.0 - 15) > 0
            OR NOT EXISTS (SELECT 1 FROM outbox_checkpoint
                WHERE subscription NOT LIKE 'export:%' AND subscription NOT LIKE 'hold:%') THEN 'ok' ELSE 'warning' END,
        format('%d alive, %d silent', count(*) FILTER (WHERE seen_at > (julianday('now') - 2440587.5) * 86400.0 - 15),
            count(*) FILTER (WHERE seen_at <= (julianday('now') - 2440587.5) * 86400.0 - 15)),
        'nothing is published while no relay runs: start `outbox-relay run`'
    FROM outbox_relay
    WHERE relay_name NOT LIKE 'export:%' AND relay_name NOT LIKE 'hold:%'
    UNION ALL
    SELECT 5, 'dead letters', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        format('%d events of %d keys will not pass', count(*), count(DISTINCT event_key)),
        'see each with its reason: `outbox-relay dead-letters list --subscription NAME`'
    FROM outbox_dead_letter WHERE state NOT IN ('skipped', 'discarded') AND NOT (replayed AND state IN ('waiting', 'draining'))
) checks
ORDER BY place;
