-- The settings of every session of a relay: each statement its own transaction with its own snapshot, commits durable,
-- statements nobody waits for any more ended by the server, and dead clients noticed. Takes no lock.
SELECT set_config('default_transaction_isolation', 'read committed', false),
    set_config('default_transaction_deferrable', 'off', false),
    set_config('synchronous_commit', 'on', false),
    -- a policy that hides rows is an error, not an empty answer
    set_config('row_security', 'off', false),
    -- where the database does not know its own encoding, bytes must come as they are
    set_config('client_encoding', CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false),
    set_config('statement_timeout', $1, false),
    set_config('idle_session_timeout', '0', false),
    -- from PostgreSQL 17 on
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', false) END,
    set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false)
