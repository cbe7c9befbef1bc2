-- Takes the write lock. Goes by the primary key. ?1 relay id, ?2 name, ?3 host, ?4 process, ?5 when it began, ?6 what it
-- serves, null where that is as before.
INSERT INTO outbox_relay (relay_id, relay_name, host, process_id, process_started, state, started_at, seen_at, serves)
VALUES (?1, ?2, ?3, ?4, ?5, 'running',
    (julianday('now') - 2440587.5) * 86400.0, (julianday('now') - 2440587.5) * 86400.0, coalesce(?6, ''))
ON CONFLICT (relay_id) DO UPDATE SET seen_at = excluded.seen_at, serves = coalesce(?6, serves);
