-- How the outbox stands: a row a check, with a verdict (ok, warning, failed) and its remedy. Takes ACCESS SHARE on the outbox's
-- tables for a moment; reads both ends of each segment's primary key and the small tables whole.
WITH segment AS (
    SELECT leaf.relid, pg_relation_size(leaf.relid) AS bytes,
        substring(pg_get_expr(relpartbound, oid) FROM '-?\d+')::bigint
            = pg_sequence_last_value('outbox_segment'::regclass) AS is_current
    FROM pg_partition_tree('outbox_event'::regclass) AS leaf
    JOIN pg_class ON oid = leaf.relid
    WHERE leaf.isleaf AND leaf.level > 0
), writer AS (
    SELECT DISTINCT lock.pid, lock.virtualtransaction
    FROM pg_locks AS lock
    WHERE lock.locktype = 'relation'
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND lock.relation IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass))
        AND lock.granted
        AND lock.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND lock.pid IS DISTINCT FROM pg_backend_pid()
)
SELECT name, verdict, found, CASE WHEN verdict <> 'ok' THEN remedy END AS remedy
FROM (
    SELECT 1 AS place, 'positions' AS name,
        CASE WHEN attidentity = 'a' AND seqcache = 1 AND seqincrement = 1 AND NOT seqcycle THEN 'ok' ELSE 'failed' END AS verdict,
        CASE attidentity WHEN 'a' THEN format('drawn by the insert, cache %s, increment %s', seqcache, seqincrement)
            WHEN '' THEN 'nothing draws them' ELSE 'writers may choose positions of their own' END AS found,
        CASE attidentity WHEN '' THEN format('ALTER TABLE %s ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY (START %s CACHE 1)',
                attrelid::regclass, (SELECT coalesce(max(position), 0) + 1 FROM outbox_event))
            ELSE format('ALTER TABLE %1$s ALTER COLUMN position SET GENERATED ALWAYS; ALTER SEQUENCE %2$s INCREMENT BY 1 CACHE 1 NO CYCLE',
                attrelid::regclass, seqrelid::regclass) END AS remedy
    FROM pg_attribute
    LEFT JOIN pg_sequence ON seqrelid = pg_get_serial_sequence('outbox_event', 'position')::regclass
    WHERE attrelid = 'outbox_event'::regclass AND attname = 'position'
    UNION ALL
    SELECT 2, 'policies of writers',
        CASE WHEN relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = log.oid AND polpermissive AND polcmd IN ('a', '*'))
            THEN 'warning' ELSE 'ok' END,
        CASE WHEN NOT relrowsecurity THEN 'row level security is off on the log'
            ELSE format('row level security is on for the log, %s policies let writers insert',
                (SELECT count(*) FROM pg_policy WHERE polrelid = log.oid AND polpermissive AND polcmd IN ('a', '*'))) END,
        format('no writer but the owner may insert: CREATE POLICY writers_append ON %s FOR INSERT WITH CHECK (true)', log.oid::regclass)
    FROM pg_class AS log
    WHERE log.oid = 'outbox_event'::regclass
    UNION ALL
    SELECT 3, 'foreign keys', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'failed' END,
        CASE WHEN count(*) = 0 THEN 'none points at the log'
            ELSE string_agg(format('%s of %s', conname, conrelid::regclass), ', ') || ' keeps segments from being emptied' END,
        string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), '; ')
    FROM pg_constraint
    WHERE contype = 'f' AND confrelid IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass))
    UNION ALL
    SELECT 4, 'triggers', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'none on the log' ELSE string_agg(format('%I on %s', tgname, tgrelid::regclass), ', ') END,
        'a trigger of your own on the log is paid by every business transaction, and its failure fails them'
    FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass))
        -- the outbox's own, where it was asked for
        AND (tgname <> 'wake_relay' OR tgrelid <> 'outbox_event'::regclass)
    UNION ALL
    SELECT 5, 'publications', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'no publication sends the emptying of segments on'
            ELSE string_agg(DISTINCT pubname::text, ', ') || ' would empty the copies too' END,
        string_agg(DISTINCT format('ALTER PUBLICATION %I SET (publish = ''insert'')', pubname), '; ')
    FROM pg_publication
    WHERE pubtruncate AND (puballtables OR EXISTS (
        SELECT FROM pg_publication_rel
        WHERE prpubid = pg_publication.oid AND prrelid IN (SELECT relid FROM pg_partition_tree('outbox_event'::regclass))))
    UNION ALL
    SELECT 6, 'segments',
        CASE WHEN count(*) = 1 OR count(*) FILTER (WHERE bytes = 0 AND NOT is_current) > 0 THEN 'ok' ELSE 'warning' END,
        format('%s, %s empty, %s in all', count(*), count(*) FILTER (WHERE bytes = 0), pg_size_pretty(sum(bytes))),
        'no segment is free for the next turn, so the current one grows: see what keeps the others with `outbox-relay status`'
    FROM segment
    UNION ALL
    SELECT 7, 'open writers', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'none is older than a minute'
            ELSE string_agg(format('pid %s (%s, %s, open since %s)', session.pid, session.usename,
                coalesce(nullif(session.application_name, ''), 'no application name'), session.xact_start::timestamptz(0)), '; ') END,
        'their events wait for their end, and so do the segments they wrote to; end them with pg_terminate_backend'
    FROM writer
    JOIN pg_stat_activity AS session ON session.pid = writer.pid
    WHERE session.xact_start < clock_timestamp() - interval '1 minute'
    UNION ALL
    SELECT 8, 'relays', CASE WHEN count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '15 seconds') > 0
            OR NOT EXISTS (SELECT FROM outbox_checkpoint
                WHERE subscription NOT LIKE 'export:%' AND subscription NOT LIKE 'hold:%') THEN 'ok' ELSE 'warning' END,
        format('%s alive, %s silent', count(*) FILTER (WHERE seen_at > clock_timestamp() - interval '15 seconds'),
            count(*) FILTER (WHERE seen_at <= clock_timestamp() - interval '15 seconds')),
        'nothing is published while no relay runs: start `outbox-relay run`'
    FROM outbox_relay
    WHERE relay_name NOT LIKE 'export:%' AND relay_name NOT LIKE 'hold:%'
    UNION ALL
    SELECT 9, 'dead letters', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        format('%s events of %s keys will not pass', count(*), count(DISTINCT event_key)),
        'see each with its reason: `outbox-relay dead-letters list --subscription NAME`'
    FROM outbox_dead_letter WHERE state NOT IN ('skipped', 'discarded') AND NOT (replayed AND state IN ('waiting', 'draining'))
) checks
ORDER BY place
