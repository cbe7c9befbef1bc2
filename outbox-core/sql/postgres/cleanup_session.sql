-- The settings of a session that looks at the log and cleans it: plans go by the primary keys, no commit waits for a standby
-- while it holds a segment, and no look waits for long behind somebody's lock. Takes no lock.
SELECT set_config('jit', 'off', false),
    set_config('enable_sort', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('enable_seqscan', 'off', false),
    set_config('synchronous_commit', 'local', false),
    set_config('lock_timeout', '2s', false)
