-- Three roles that cannot log in: who writes events, who relays them, and who looks on. Users are made members, as in
-- GRANT outbox_writer TO shop_app. Run it as the owner of the tables, who needs CREATEROLE only where a role is still missing;
-- twice changes nothing. Takes no lock but on rows of the catalog; uses the catalog's indexes.
-- A role belongs to the server and to no schema: outboxes with one prefix share their roles.

-- Another database of the server may be making them at this moment.
DO $$ BEGIN
    IF to_regrole('outbox_writer') IS NULL THEN CREATE ROLE outbox_writer NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$ BEGIN
    IF to_regrole('outbox_relay') IS NULL THEN CREATE ROLE outbox_relay NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$ BEGIN
    IF to_regrole('outbox_operator') IS NULL THEN CREATE ROLE outbox_operator NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- A writer appends, and cannot even read what it wrote. Position, segment and transaction are not for it to choose.
GRANT INSERT (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload, payload_binary,
    old_payload_binary, content_type, headers, tenant_id, actor, schema_version, occurred_at) ON outbox_event TO outbox_writer;

-- An operator reads: status, why, doctor and the change log.
GRANT SELECT ON outbox_event, outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter, outbox_meta TO outbox_operator;

-- A relay reads the log and keeps the books.
GRANT SELECT ON outbox_event, outbox_meta TO outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter TO outbox_relay;

-- It cleans, too: it writes the floor, and empties segments, which exist in any number.
GRANT INSERT, UPDATE ON outbox_meta TO outbox_relay;

DO $$
DECLARE
    object regclass;
    home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'outbox_event'::regclass);
BEGIN
    FOR object IN SELECT relid FROM pg_partition_tree('outbox_event'::regclass) WHERE isleaf AND level > 0 LOOP
        EXECUTE format('GRANT SELECT, TRUNCATE ON %s TO outbox_relay', object);
    END LOOP;

    -- What an insert looks at, and only a relay moves. A sequence that a later version brings is not there before.
    FOR object IN
        SELECT to_regclass(name) FROM unnest(ARRAY['outbox_segment', 'outbox_wake']) AS name WHERE to_regclass(name) IS NOT NULL
    LOOP
        EXECUTE format('GRANT SELECT ON SEQUENCE %s TO outbox_writer', object);
        EXECUTE format('GRANT SELECT ON SEQUENCE %s TO outbox_operator', object);
        EXECUTE format('GRANT SELECT, UPDATE ON SEQUENCE %s TO outbox_relay', object);
    END LOOP;

    -- Positions are drawn by the insert itself, which takes no privilege; to know the last one does.
    object := pg_get_serial_sequence('outbox_event', 'position');
    EXECUTE format('GRANT SELECT ON SEQUENCE %s TO outbox_operator', object);
    EXECUTE format('GRANT SELECT ON SEQUENCE %s TO outbox_relay', object);

    -- Everybody may use the schema `public` unless somebody forbade it.
    IF NOT has_schema_privilege('public', home::oid, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO outbox_writer', home);
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO outbox_operator', home);
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO outbox_relay', home);
    END IF;
END $$;
