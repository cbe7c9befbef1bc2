-- Whether anybody holds a lease of a subscription. Takes ACCESS SHARE on outbox_lease; uses its primary key.
SELECT EXISTS (SELECT FROM outbox_lease WHERE subscription = $1) AS leased
