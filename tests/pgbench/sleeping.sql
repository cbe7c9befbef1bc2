-- A slow commit: the position is drawn long before its event can be seen.
\set key random(1, :keys)
\set pause random(50, 300)
BEGIN;
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
SELECT pg_sleep(:pause / 1000.0);
COMMIT;
