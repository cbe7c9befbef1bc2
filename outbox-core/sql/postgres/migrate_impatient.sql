-- Lets a migration give way rather than queue: who queues for a lock makes everybody behind it wait. Takes no lock.
SELECT set_config('lock_timeout', '50ms', true)
