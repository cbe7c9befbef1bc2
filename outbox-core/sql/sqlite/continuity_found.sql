-- The events that stand at the positions ?1, [12,15,20]. Takes no lock in WAL mode. Looks each up by the primary key.
SELECT position, event_id FROM outbox_event WHERE position IN (SELECT value FROM json_each(?1));
