-- What the server must be and how it is set: a row a check, with a verdict (ok, warning, failed) and its remedy. Needs none of
-- the outbox's tables. Takes no lock but the catalog's; uses the catalog's indexes.
SELECT name, verdict, found, CASE WHEN verdict <> 'ok' THEN remedy END AS remedy
FROM (
    SELECT 1 AS place, 'server version' AS name,
        CASE WHEN current_setting('server_version_num')::integer >= 140000 THEN 'ok' ELSE 'failed' END AS verdict,
        'PostgreSQL ' || current_setting('server_version') AS found,
        'use PostgreSQL 14 or newer' AS remedy
    UNION ALL
    SELECT 2, 'primary', CASE WHEN pg_is_in_recovery() THEN 'failed' ELSE 'ok' END,
        CASE WHEN pg_is_in_recovery() THEN 'a standby, which shows too little' ELSE 'the server takes writes' END,
        'point the relay at the primary, or promote this server'
    UNION ALL
    SELECT 3, 'writable',
        CASE WHEN current_setting('default_transaction_read_only')::boolean THEN 'failed' ELSE 'ok' END,
        'default_transaction_read_only = ' || current_setting('default_transaction_read_only'),
        format('ALTER ROLE %I SET default_transaction_read_only = off', current_user)
    UNION ALL
    SELECT 4, 'crash safety',
        CASE WHEN current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean THEN 'ok' ELSE 'failed' END,
        format('fsync = %s, full_page_writes = %s', current_setting('fsync'), current_setting('full_page_writes')),
        'set both to on: without them a crash may take back what was published'
    UNION ALL
    -- as a session finds it: the relay's own have set it for themselves
    SELECT 5, 'commit durability', CASE WHEN setting.reset_val = 'off' OR others.roles IS NOT NULL THEN 'warning' ELSE 'ok' END,
        'synchronous_commit = ' || setting.reset_val || coalesce(', but off for ' || others.roles, ''),
        'nothing is published before it is on disk, but the relay has to ask for each flush: set it to on for writers of the outbox'
    FROM pg_settings AS setting, (
        SELECT string_agg(quote_ident(pg_get_userbyid(setrole)), ', ' ORDER BY setrole) AS roles
        FROM pg_db_role_setting
        WHERE setrole <> 0 AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND 'synchronous_commit=off' = ANY (setconfig)
    ) AS others
    WHERE setting.name = 'synchronous_commit'
    UNION ALL
    SELECT 6, 'sessions are shown',
        CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN 'ok' ELSE 'warning' END,
        CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN 'user, age and application of every session'
            ELSE 'the age of other users'' transactions is hidden' END,
        format('GRANT pg_read_all_stats TO %I', current_user)
    UNION ALL
    SELECT 7, 'flush on request', CASE WHEN bool_and(has_function_privilege(oid, 'EXECUTE')) THEN 'ok' ELSE 'failed' END,
        'pg_logical_emit_message brings the log of a writer to disk that does not wait for it',
        string_agg(format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::regprocedure, current_user), '; ')
    FROM pg_proc
    WHERE proname = 'pg_logical_emit_message' AND pronamespace = 'pg_catalog'::regnamespace
    UNION ALL
    SELECT 8, 'long transactions', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'none is older than an hour'
            ELSE format('%s older than an hour: %s', count(*), string_agg(format('pid %s (%s, %s, %s)', pid, usename,
                coalesce(nullif(application_name, ''), 'no application name'), state), '; ' ORDER BY xact_start)) END,
        'they keep dead rows of every table, and segments they have read; end them with pg_terminate_backend'
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start < clock_timestamp() - interval '1 hour' AND backend_type = 'client backend'
    UNION ALL
    SELECT 9, 'prepared transactions', CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
        CASE WHEN count(*) = 0 THEN 'none is older than five minutes'
            ELSE format('%s older than five minutes: %s', count(*), string_agg(format('%L (%s)', gid, owner), '; ' ORDER BY prepared)) END,
        'each keeps its events and its segment; COMMIT PREPARED or ROLLBACK PREPARED what its coordinator has forgotten'
    FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - interval '5 minutes'
    UNION ALL
    SELECT 10, 'writers', CASE WHEN everybody THEN 'ok' ELSE 'warning' END,
        CASE WHEN everybody THEN 'everybody' ELSE 'not everybody' END || ' may execute query_to_xml, which the library''s INSERT names',
        format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', named)
    FROM (
        SELECT oid::regprocedure AS named, has_function_privilege('public', oid, 'EXECUTE') AS everybody
        FROM pg_proc
        WHERE proname = 'query_to_xml' AND pronamespace = 'pg_catalog'::regnamespace
    ) execution
) checks
ORDER BY place
