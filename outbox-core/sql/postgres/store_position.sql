-- How positions are drawn, with the statement that mends it where they are not drawn one by one. Takes no lock but the
-- catalog's; uses the catalog's indexes.
SELECT attidentity = 'a' AS always,
    format('ALTER TABLE %s ALTER COLUMN position SET GENERATED ALWAYS', attrelid::regclass) AS make_always,
    seqcache = 1 AND seqincrement = 1 AND NOT seqcycle AS one_by_one,
    seqcache AS cache,
    format('ALTER SEQUENCE %s INCREMENT BY 1 CACHE 1 NO CYCLE', seqrelid::regclass) AS make_one_by_one
FROM pg_attribute
LEFT JOIN pg_sequence ON seqrelid = pg_get_serial_sequence('outbox_event', 'position')::regclass
WHERE attrelid = to_regclass('outbox_event') AND attname = 'position'
