-- The outbox of one SQLite database, version 1. Runs as it stands in sqlite3, sqlx's migrator or any other tool.

-- The log. AUTOINCREMENT is mandatory: without it SQLite gives the position of a removed row to a new one.
CREATE TABLE outbox_event (
    position           INTEGER PRIMARY KEY AUTOINCREMENT,
    segment            INTEGER NOT NULL DEFAULT 0,
    -- a UUIDv7 (RFC 9562): 48 bits of milliseconds, version 7, variant 2, the rest random
    event_id           TEXT NOT NULL DEFAULT (
        substr(printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), 1, 8) || '-'
        || substr(printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), 9, 4)
        || printf('-7%03x-%04x-', random() & 4095, (random() & 16383) | 32768)
        || lower(hex(randomblob(6)))),
    topic              TEXT NOT NULL,
    event_key          TEXT NOT NULL,
    event_type         TEXT,
    aggregate_type     TEXT,
    operation          TEXT,
    payload            TEXT,
    old_payload        TEXT,
    payload_binary     BLOB,
    old_payload_binary BLOB,
    content_type       TEXT NOT NULL DEFAULT 'application/json',
    headers            TEXT,
    tenant_id          TEXT,
    actor              TEXT,
    schema_version     INTEGER,
    transaction_id     TEXT,
    occurred_at        TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
);

-- Per subscription and partition: everything up to the position is done, but for the open positions,
-- ranges such as {[12,15],[20,20]}. The proof lists the last acknowledged position:event_id pairs; the epoch is the
-- lease's, and an older one is refused.
-- Nothing above its position, or among its open positions, may be removed from the log. So a row may also be a hold: that of
-- an export by name ('export:NAME') for good, that of a reader at work ('hold:ID') as long as its lease runs.
CREATE TABLE outbox_checkpoint (
    subscription   TEXT    NOT NULL,
    partition_id   INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    open_positions TEXT    NOT NULL DEFAULT '{}',
    proof          TEXT    NOT NULL DEFAULT '',
    epoch          INTEGER NOT NULL DEFAULT 0,
    created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    updated_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    PRIMARY KEY (subscription, partition_id)
);

-- Per subscription and partition: who may work it, until when (seconds since 1970, by this machine's clock), and what it
-- last said of itself.
CREATE TABLE outbox_lease (
    subscription TEXT    NOT NULL,
    partition_id INTEGER NOT NULL,
    relay_id     TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    expires_at   REAL    NOT NULL,
    publisher    TEXT,
    state        TEXT    NOT NULL DEFAULT 'idle',
    last_error   TEXT,
    holes        TEXT,
    PRIMARY KEY (subscription, partition_id)
);

-- Relays alive. Host and process tell a restarted relay of the same name that its predecessor is gone.
CREATE TABLE outbox_relay (
    relay_id        TEXT    NOT NULL PRIMARY KEY,
    relay_name      TEXT    NOT NULL,
    host            TEXT    NOT NULL,
    process_id      INTEGER NOT NULL,
    process_started TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    started_at      REAL    NOT NULL,
    seen_at         REAL    NOT NULL
);

-- Events kept aside with their reason.
CREATE TABLE outbox_dead_letter (
    subscription    TEXT    NOT NULL,
    partition_id    INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    event_key       TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    first_failed_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    last_failed_at  TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'),
    PRIMARY KEY (subscription, partition_id, position)
);

-- Schema version, instance id, and floor: the highest position cleanup has removed.
CREATE TABLE outbox_meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

INSERT INTO outbox_meta (name, value) VALUES
    ('schema_version', '1'),
    ('instance', lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    ('floor', '0');
