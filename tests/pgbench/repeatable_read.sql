-- A writer with one snapshot for the whole transaction; a conflict rolls it back and pgbench tries again.
\set key random(1, :keys)
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
COMMIT;
