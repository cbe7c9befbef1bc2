-- The outbox of one PostgreSQL database, version 1. Runs as it stands in psql, sqlx's migrator or any other tool.
-- Run it inside one transaction. Every statement makes a new object: nothing the application uses is locked.

-- The segment that receives inserts. Only cleanup moves it, and only into an empty segment: no clock is involved and
-- nothing ever wraps. It is a sequence because a sequence is not MVCC: each writer sees its value of this moment.
CREATE SEQUENCE outbox_segment MINVALUE 0 MAXVALUE 7 START 0;

SELECT setval('outbox_segment', 0, true);

-- The log. Insert-only: no status column, no UPDATE, one index on the write path.
CREATE TABLE outbox_event (
    position           bigint      GENERATED ALWAYS AS IDENTITY (CACHE 1),
    segment            smallint    NOT NULL DEFAULT pg_sequence_last_value('outbox_segment'::regclass)::smallint,
    -- a UUIDv7 (RFC 9562): 48 bits of milliseconds laid over a random UUID, then its version raised from 4 to 7
    event_id           uuid        NOT NULL DEFAULT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                           PLACING substring(int8send((date_part('epoch', clock_timestamp()) * 1000)::bigint) FROM 3)
                           FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
    topic              text        NOT NULL,
    event_key          text        NOT NULL,
    event_type         text,
    aggregate_type     text,
    operation          text,
    payload            text,
    old_payload        text,
    payload_binary     bytea,
    old_payload_binary bytea,
    content_type       text        NOT NULL DEFAULT 'application/json',
    headers            text,
    tenant_id          text,
    actor              text,
    schema_version     integer,
    transaction_id     text        DEFAULT pg_current_xact_id()::text,
    occurred_at        timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY LIST (segment);

-- The pool of segments, each emptied whole. The primary key is the position alone, on each segment: the identity column
-- keeps it unique across them. Rows are never updated, so there is nothing for autovacuum to do.
CREATE TABLE outbox_event_0 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (0) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_1 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (1) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_2 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (2) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_3 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (3) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_4 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (4) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_5 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (5) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_6 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (6) WITH (autovacuum_enabled = off);
CREATE TABLE outbox_event_7 PARTITION OF outbox_event (PRIMARY KEY (position)) FOR VALUES IN (7) WITH (autovacuum_enabled = off);

-- Per subscription and partition: everything up to the position is done, but for the open positions,
-- ranges such as {[12,15],[20,20]}, which cast to int8multirange. The proof lists the last acknowledged
-- position:event_id pairs; the epoch is the lease's, and an older one is refused.
-- Nothing above its position, or among its open positions, may be removed from the log. So a row may also be a hold: that of
-- an export by name ('export:NAME') for good, that of a reader at work ('hold:ID') as long as its lease runs.
CREATE TABLE outbox_checkpoint (
    subscription   text        NOT NULL,
    partition_id   integer     NOT NULL,
    position       bigint      NOT NULL,
    open_positions text        NOT NULL DEFAULT '{}',
    proof          text        NOT NULL DEFAULT '',
    epoch          bigint      NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription, partition_id)
) WITH (fillfactor = 50);

-- Per subscription and partition: who may work it, until when by this database's clock, and what it last said of itself.
CREATE TABLE outbox_lease (
    subscription text        NOT NULL,
    partition_id integer     NOT NULL,
    relay_id     uuid        NOT NULL,
    epoch        bigint      NOT NULL,
    expires_at   timestamptz NOT NULL,
    publisher    text,
    state        text        NOT NULL DEFAULT 'idle',
    last_error   text,
    holes        text,
    PRIMARY KEY (subscription, partition_id)
) WITH (fillfactor = 50);

-- Relays alive. Host and process tell a restarted relay of the same name that its predecessor is gone.
CREATE TABLE outbox_relay (
    relay_id        uuid        NOT NULL PRIMARY KEY,
    relay_name      text        NOT NULL,
    host            text        NOT NULL,
    process_id      bigint      NOT NULL,
    process_started text        NOT NULL,
    state           text        NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at         timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Events kept aside with their reason.
CREATE TABLE outbox_dead_letter (
    subscription    text        NOT NULL,
    partition_id    integer     NOT NULL,
    position        bigint      NOT NULL,
    event_id        uuid        NOT NULL,
    event_key       text        NOT NULL,
    topic           text        NOT NULL,
    state           text        NOT NULL,
    reason          text        NOT NULL,
    attempts        integer     NOT NULL,
    first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_failed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription, partition_id, position)
);

-- Schema version, instance id, and floor: the highest position cleanup has removed.
CREATE TABLE outbox_meta (
    name  text NOT NULL PRIMARY KEY,
    value text NOT NULL
);

INSERT INTO outbox_meta (name, value) VALUES
    ('schema_version', '1'),
    ('instance', gen_random_uuid()::text),
    ('floor', '0');
