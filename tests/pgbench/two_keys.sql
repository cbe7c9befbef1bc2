-- Two keys in one transaction, in ascending order against deadlocks: while it holds the first, others overtake it on the
-- second, so that the order of transaction ids is not the order of a key.
\set first random(1, :keys - 1)
\set second random(:first + 1, :keys)
\set pause random(0, 10)
BEGIN;
\set key :first
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
\sleep :pause ms
\set key :second
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
COMMIT;
