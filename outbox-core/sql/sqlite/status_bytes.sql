-- Takes no lock in WAL mode. Adds up the pages of the log, each of which is read: so not where the file is above 256 MiB.
SELECT CAST(sum(pgsize) AS INTEGER) FROM dbstat
WHERE name = trim('outbox_event', '"') AND aggregate = TRUE
    AND (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) <= 268435456;
