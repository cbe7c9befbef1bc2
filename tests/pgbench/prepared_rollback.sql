-- Two-phase commit that is rolled back in its second phase.
\set key random(1, :keys)
\set nonce random(1, 1000000000)
\set pause random(0, 80)
BEGIN;
UPDATE agg SET ver = ver + 1 WHERE k = 'k-:key' RETURNING ver \gset
INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', 'k-:key', format('{"k":"k-:key","ver":%s}', :ver));
PREPARE TRANSACTION 'torture-:slice-:client_id-:nonce';
\sleep :pause ms
ROLLBACK PREPARED 'torture-:slice-:client_id-:nonce';
