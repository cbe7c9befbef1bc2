-- A change that is taken back: its position is never filled.
\set key random(1, :keys)
BEGIN;
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
ROLLBACK;
