-- Takes no lock in WAL mode. Looks each of the positions ?1, [12,15,20], up by the primary key.
SELECT p.value, e.event_id, (SELECT CAST(value AS INTEGER) FROM outbox_meta WHERE name = 'floor') AS floor
FROM json_each(?1) p LEFT JOIN outbox_event e ON e.position = p.value;
