-- Whether a relay works a subscription and has not said that it is paused. Takes no lock in WAL mode. Goes by the primary key.
-- ?1 subscription.
SELECT EXISTS (
    SELECT 1 FROM outbox_lease
    WHERE subscription = ?1 AND expires_at > (julianday('now') - 2440587.5) * 86400.0 AND state <> 'paused'
);
