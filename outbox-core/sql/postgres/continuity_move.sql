-- Gives an event a position of its own, above all others. Takes ROW EXCLUSIVE on the log and locks the one row.
UPDATE outbox_event SET position = DEFAULT WHERE tableoid = $1 AND ctid = $2::text::tid
