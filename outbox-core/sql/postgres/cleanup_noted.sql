-- What the last pass recorded, and how many segments are to be used where not all are. Takes ACCESS SHARE on outbox_meta; uses
-- its primary key.
SELECT (SELECT value FROM outbox_meta WHERE name = 'cleanup') AS trouble,
    (SELECT value FROM outbox_meta WHERE name = 'segments') AS segments
