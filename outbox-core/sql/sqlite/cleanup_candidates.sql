-- The next events that may go, ascending, with whether they do; the walk ends at the first that is too young. Takes no lock of
-- its own: asked within a write transaction. Walks the primary key from ?1 on, ?4 rows at most.
-- ?1 above this position, ?2 up to this one, ?3 seconds that events are kept, ?5 open positions, [[12,15],[20,20]].
SELECT position, owed FROM (
    SELECT position,
        EXISTS (SELECT 1 FROM json_each(?5) o WHERE position BETWEEN o.value ->> 0 AND o.value ->> 1) AS owed,
        max(coalesce((julianday('now') - julianday(occurred_at)) * 86400.0 < ?3, 0)) OVER (ORDER BY position) AS young
    FROM (SELECT position, occurred_at FROM outbox_event WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?4)
)
WHERE NOT young;
