-- When the last event of a segment was captured, in seconds since 1970, and what the time is now. Takes ACCESS SHARE on the
-- segment; reads one end of its primary key.
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, (
    SELECT CASE WHEN isfinite(occurred_at) THEN extract(epoch FROM occurred_at)::float8 END
    FROM ONLY outbox_event_0 ORDER BY position DESC LIMIT 1
) AS captured
