-- Removes the holds whose lease no longer runs, with their leases. Takes ROW EXCLUSIVE on outbox_checkpoint and outbox_lease
-- and locks the rows it removes; reads the few rows of both.
WITH ended AS (
    DELETE FROM outbox_lease WHERE subscription LIKE 'hold:%' AND expires_at <= clock_timestamp() RETURNING subscription
)
DELETE FROM outbox_checkpoint
WHERE subscription LIKE 'hold:%'
    AND (subscription IN (SELECT subscription FROM ended) OR subscription NOT IN (SELECT subscription FROM outbox_lease))
