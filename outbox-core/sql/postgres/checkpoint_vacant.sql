-- Removes the leases of a subscription that no longer run, and says how high their epochs were. Takes ROW EXCLUSIVE on
-- outbox_lease; uses its primary key.
WITH ended AS (
    DELETE FROM outbox_lease WHERE subscription = $1 AND expires_at <= clock_timestamp() RETURNING epoch
)
SELECT coalesce(max(epoch), 0) AS epoch FROM ended
