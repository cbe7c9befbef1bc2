-- How a subscription is shared, why it was cut off, if it was, and the highest position cleanup has removed. Takes ACCESS SHARE
-- on outbox_meta; uses its primary key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'partitions:' || $1) AS partitions,
    (SELECT value FROM outbox_meta WHERE name = 'cut_off:' || $1) AS cut_off,
    (SELECT value::bigint FROM outbox_meta WHERE name = 'floor') AS floor
