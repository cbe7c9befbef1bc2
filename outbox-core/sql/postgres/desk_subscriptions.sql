-- The subscriptions that have a checkpoint, a lease or letters. Takes ACCESS SHARE on the three tables and reads their keys.
SELECT subscription FROM (
    SELECT subscription FROM outbox_checkpoint UNION SELECT subscription FROM outbox_lease
    UNION SELECT subscription FROM outbox_dead_letter
) AS named
WHERE subscription NOT LIKE 'export:%' AND subscription NOT LIKE 'hold:%' ORDER BY subscription
