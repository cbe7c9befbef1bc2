-- Takes no lock in WAL mode. SQLite keeps the highest position ever given out; max() reads one end of the primary key.
SELECT max(
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = trim('outbox_event', '"')), 0),
    coalesce((SELECT max(position) FROM outbox_event), 0));
