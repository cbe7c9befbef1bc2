-- Both ends of the log. Takes no lock in WAL mode. Reads both ends of the primary key, and one row.
SELECT ends.first, ends.last, (julianday('now') - julianday(e.occurred_at)) * 86400.0 AS first_age
FROM (SELECT (SELECT min(position) FROM outbox_event) AS first, (SELECT max(position) FROM outbox_event) AS last) ends
LEFT JOIN outbox_event e ON e.position = ends.first;
