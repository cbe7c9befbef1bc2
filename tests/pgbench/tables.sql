-- What the business transactions change: a counter per key, rows of bulk transactions, and a stranger's table.
CREATE TABLE agg (k text PRIMARY KEY, ver bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE bulk (k text PRIMARY KEY, ver bigint NOT NULL);
CREATE TABLE stranger (n bigint NOT NULL);
GRANT SELECT, INSERT, UPDATE ON agg, bulk, stranger TO outbox_writer;
