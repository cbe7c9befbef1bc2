-- The highest position cleanup has removed. Takes ACCESS SHARE on outbox_meta; uses its primary key.
SELECT value FROM outbox_meta WHERE name = 'floor'
