-- Both ends of the log and how far positions were given out. Takes no lock in WAL mode. Reads both ends of the log's primary
-- key, and dead letters whole.
SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = trim('outbox_event', '"')), 0),
        coalesce((SELECT max(position) FROM outbox_event), 0)) AS last_drawn,
    (SELECT min(position) FROM outbox_event) AS lowest,
    (SELECT max(position) FROM outbox_event) AS highest,
    (SELECT CAST(value AS INTEGER) FROM outbox_meta WHERE name = 'floor') AS floor,
    (SELECT max(position) FROM outbox_dead_letter) AS letters;
