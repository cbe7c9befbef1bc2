-- A commit that does not wait for the disk: a crash of the server may take it back.
\set key random(1, :keys)
BEGIN;
SET LOCAL synchronous_commit = off;
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
COMMIT;
