-- Says what the emptying to come expects and whom it cuts off, where a message without parameters can read it; with $4 for the
-- transaction alone. Takes no lock.
SELECT set_config('outbox.last', $1::bigint::text, $4),
    set_config('outbox.cut', $2::text[]::text, $4),
    set_config('outbox.reason', $3::text, $4)
