-- Begins a transaction of a relay where a pooler hands out a connection for each: after it come the settings of the session,
-- for this transaction alone. Takes no lock.
BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE
