-- Says what the emptying to come expects and whom it cuts off, where a message without parameters can read it. Takes no lock.
SELECT set_config('outbox.last', $1::bigint::text, false),
    set_config('outbox.cut', $2::text[]::text, false),
    set_config('outbox.reason', $3::text, false)
