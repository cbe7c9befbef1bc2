-- Brings the tables of revision 1 to revision 2 while relays and writers of revision 1 work on. Runs as it stands, after
-- migrate.sql, inside one transaction. Every statement makes a new object, or locks a table that only
-- relays use.

-- The deadline of the relay that sleeps last, in microseconds since 1970: while it lies ahead a writer notifies. It is a
-- sequence because a sequence is not MVCC: a writer sees its value of this moment, however old its snapshot.
CREATE SEQUENCE outbox_wake MINVALUE -9223372036854775807 START 0 CACHE 1;

SELECT setval('outbox_wake', 0, true);

-- Whoever may write events may look at it too.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'outbox_segment'::regclass AND privilege_type IN ('SELECT', 'USAGE') AND grantee <> relowner
    LOOP
        EXECUTE 'GRANT SELECT ON SEQUENCE outbox_wake TO ' || reader;
    END LOOP;
END $$;

-- From here on relays write rows of outbox_meta too: 'address:...', one for each address at which a relay has worked or that was
-- adopted, with the time and by whom; 'server', the cluster and the start of the server that a relay met last; 'repair:...' and
-- 'new_instance:...', what a person did at that time, and why; 'left:...', an address that a new instance gave up. By them a copy is
-- told from the original.
DO $$
DECLARE
    relay text;
BEGIN
    FOR relay IN
        SELECT DISTINCT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'outbox_checkpoint'::regclass AND privilege_type = 'UPDATE' AND grantee <> relowner
    LOOP
        EXECUTE 'GRANT INSERT, UPDATE ON outbox_meta TO ' || relay;
    END LOOP;
END $$;

-- What a relay serves, as a JSON array of names: relays that serve the same subscription share its partitions. A relay counts
-- as alive for the length of its own leases, since it says so once in a third of that.
ALTER TABLE outbox_relay
    ADD COLUMN serves        text             NOT NULL DEFAULT '',
    ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 15;

-- Dead letters are full copies of their events, which outlive the log. A row of the log that cannot become an event is kept as
-- far as it can be read. What an operator decided stands beside it, and the payload it had before.
ALTER TABLE outbox_dead_letter
    ADD COLUMN event_type         text,
    ADD COLUMN aggregate_type     text,
    ADD COLUMN operation          text,
    ADD COLUMN payload            text,
    ADD COLUMN old_payload        text,
    ADD COLUMN payload_binary     bytea,
    ADD COLUMN old_payload_binary bytea,
    ADD COLUMN content_type       text        NOT NULL DEFAULT 'application/json',
    ADD COLUMN headers            text,
    ADD COLUMN tenant_id          text,
    ADD COLUMN actor              text,
    ADD COLUMN schema_version     integer,
    ADD COLUMN transaction_id     text,
    ADD COLUMN occurred_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN readable           boolean     NOT NULL DEFAULT true,
    ADD COLUMN replayed           boolean     NOT NULL DEFAULT false,
    ADD COLUMN original_payload   bytea,
    ADD COLUMN settled_by         text,
    ADD COLUMN settled_reason     text,
    ADD COLUMN settled_at         timestamptz;

-- The queue of a key. A hash, because a key may be longer than an entry of a tree.
CREATE INDEX ON outbox_dead_letter USING hash (event_key);

-- The row 'partitions:NAME' says how many partitions a subscription has; one without it has one.
-- The row 'paused:NAME' pauses a subscription, and 'letters:NAME' changes when an operator decides about its dead letters.
INSERT INTO outbox_meta (name, value) VALUES ('revision', '2');
