-- The events that stand at these positions. Takes ACCESS SHARE on the log; looks each up in the primary keys.
SELECT position, event_id FROM outbox_event WHERE position = ANY ($1)
