-- Brings the WAL to disk: an empty message, committed by a session that waits for its own flush. Takes no lock.
SELECT pg_logical_emit_message(true, 'outbox', '')::text
