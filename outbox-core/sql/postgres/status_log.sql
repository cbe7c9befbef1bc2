-- Both ends of the log. Takes ACCESS SHARE on the log and its segments; reads both ends of each primary key.
SELECT (SELECT min(position) FROM outbox_event) AS first_position, (SELECT max(position) FROM outbox_event) AS last_position
