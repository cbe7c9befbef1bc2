-- Gives a relay's leases back, as lease_give_back.sql does, and takes it off the list. Takes ROW EXCLUSIVE on outbox_lease and outbox_relay; reads the
-- few rows of the one, finds its row in the other by the primary key.
WITH freed AS (
    UPDATE outbox_lease
    SET epoch = epoch + 1, expires_at = least(expires_at, clock_timestamp()), state = 'idle', holes = NULL
    WHERE relay_id = $1
)
DELETE FROM outbox_relay WHERE relay_id = $1
