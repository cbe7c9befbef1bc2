-- The condition of a filter. What stands between its marks goes between those of a statement that reads the log, where the
-- parameters are counted on from the statement's own. Takes no lock in WAL mode; as it stands it reads the whole log.
-- ?1 topics (GLOB), ?2 tables, ?3 keys, ?4 tenants, ?5 operations: a JSON array, or null where all pass; ?6 from this time
-- on, ?7 before this time, or null. A time that SQLite does not understand passes: better shown than hidden.
SELECT position FROM outbox_event
WHERE /* wanted */ (?1 IS NULL OR EXISTS (SELECT 1 FROM json_each(?1) t WHERE CAST(topic AS TEXT) GLOB t.value))
    AND (?2 IS NULL OR coalesce(CAST(aggregate_type AS TEXT) IN (SELECT value FROM json_each(?2)), 0))
    AND (?3 IS NULL OR CAST(event_key AS TEXT) IN (SELECT value FROM json_each(?3)))
    AND (?4 IS NULL OR coalesce(CAST(tenant_id AS TEXT) IN (SELECT value FROM json_each(?4)), 0))
    AND (?5 IS NULL OR coalesce(CAST(operation AS TEXT) IN (SELECT value FROM json_each(?5)), 0))
    AND (?6 IS NULL OR coalesce(julianday(occurred_at) >= julianday(?6), 1))
    AND (?7 IS NULL OR coalesce(julianday(occurred_at) < julianday(?7), 1)) /* end */;
