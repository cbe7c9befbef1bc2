-- When the newest event of a segment was captured, in seconds since 1970, and what the time is now. Takes ACCESS SHARE on the
-- segment; reads all of it, so it is asked only when the last event is old enough, and once for each last event.
SELECT extract(epoch FROM max(occurred_at) FILTER (WHERE isfinite(occurred_at)))::float8 AS newest
FROM ONLY outbox_event_0
