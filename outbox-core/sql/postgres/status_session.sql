-- Lets no look wait for long behind somebody's lock. Takes no lock.
SELECT set_config('lock_timeout', '2s', false)
