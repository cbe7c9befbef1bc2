-- Ends a lease at once, if its epoch is still this one, and takes its owner off the list unless another of its leases still
-- runs, whose taker asks the list who that is. Takes ROW EXCLUSIVE on outbox_lease and outbox_relay and locks one row of
-- each, found by their primary keys; reads the few rows of outbox_lease.
WITH ended AS (
    UPDATE outbox_lease SET expires_at = least(expires_at, clock_timestamp())
    WHERE subscription = $1 AND partition_id = $2 AND epoch = $3
    RETURNING relay_id
)
DELETE FROM outbox_relay WHERE relay_id IN (
    -- an owner that lives after all may be writing its row, and would wait for the lease in turn
    SELECT relay_id FROM outbox_relay
    WHERE relay_id IN (SELECT relay_id FROM ended)
        AND NOT EXISTS (
            SELECT FROM outbox_lease AS other
            WHERE other.relay_id = outbox_relay.relay_id AND (other.subscription, other.partition_id) <> ($1, $2)
                AND other.expires_at > clock_timestamp()
        )
    FOR UPDATE SKIP LOCKED
)
