-- Takes no lock in WAL mode. Reads both ends of the primary key.
SELECT (SELECT min(position) FROM outbox_event) AS first_position, (SELECT max(position) FROM outbox_event) AS last_position;
