-- What a relay must know before it lets writers wake it: the channel they tell it on, whether it may arm, and whether
-- transactions may be prepared, which a notification forbids. Takes no lock but the catalog's; uses the catalog's indexes.
SELECT 'outbox:' || 'outbox_wake'::regclass::oid AS channel,
    has_sequence_privilege('outbox_wake', 'UPDATE') AND has_sequence_privilege('outbox_wake', 'SELECT') AS may_arm,
    format('GRANT SELECT, UPDATE ON SEQUENCE %s TO %I', 'outbox_wake'::regclass, current_user) AS remedy,
    current_setting('max_prepared_transactions')::integer AS prepared,
    -- arming and disarming need not survive a crash: whoever sleeps by them does not either
    set_config('synchronous_commit', 'off', false)
