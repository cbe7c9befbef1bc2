-- The settings of a session that reads the log. A plan made on the empty log and kept for ever is right for a full one
-- only if the planner has no choice but the primary keys in order; a JIT compilation costs more than a read. What is
-- flushed here is flushed on this server: a standby that does not answer must not stop a reader. Takes no lock.
SELECT set_config('jit', 'off', false),
    set_config('enable_sort', 'off', false),
    set_config('enable_bitmapscan', 'off', false),
    set_config('enable_seqscan', 'off', false),
    set_config('plan_cache_mode', 'force_generic_plan', false),
    set_config('synchronous_commit', 'local', false)
