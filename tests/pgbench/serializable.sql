-- A serializable writer that has read what others write: conflicts show as late as at its commit.
\set key random(1, :keys)
\set other random(1, :keys)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT ver FROM agg WHERE k = 'k-:other';
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
COMMIT;
