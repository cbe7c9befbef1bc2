-- Which cluster this is; a copy and a standby say the same. Takes no lock.
SELECT system_identifier::text FROM pg_control_system()
