-- Whether a relay works a subscription and has not said that it is paused. Takes ACCESS SHARE on outbox_lease; uses its primary
-- key.
SELECT EXISTS (
    SELECT FROM outbox_lease WHERE subscription = $1 AND expires_at > clock_timestamp() AND state <> 'paused'
) AS at_work
