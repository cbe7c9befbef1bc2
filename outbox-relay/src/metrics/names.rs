//! Every metric, the one place where its name stands.
//!
//! Names follow the customs of Prometheus: base units, `_total` for what only grows. What each answers, and what to be
//! woken for, stands in `docs/metrics.md`; a test compares the two.

use metrics::Unit;

use super::{Kind, Metric};

/// Classes of durations in seconds, from a local call to a far side that is about to time out.
const DURATIONS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The label of everything that one subscription does.
const SUBSCRIPTION: &[&str] = &["subscription"];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, $unit:ident, $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: $kind, unit: Unit::$unit, labels: $labels, help: $help };
        )+

        /// All of them.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    RELAY_INFO = "outbox_relay_info", Kind::Gauge, Count, &["version", "relay", "database", "outbox"],
        "Always 1; its labels say which relay works which outbox.";
    START_TIME = "outbox_relay_start_time_seconds", Kind::Gauge, Seconds, &[],
        "When the relay started, in seconds since 1970.";

    EVENTS_READ = "outbox_events_read_total", Kind::Counter, Count, &["subscription", "row"],
        "Rows read from the log, by what became of them: event, filtered or unreadable.";
    EVENTS_PUBLISHED = "outbox_events_published_total", Kind::Counter, Count, SUBSCRIPTION,
        "Events that the publisher acknowledged.";
    EVENTS_RETRIED = "outbox_events_retried_total", Kind::Counter, Count, SUBSCRIPTION,
        "Events that the publisher did not take, but may take later.";
    EVENTS_REJECTED = "outbox_events_rejected_total", Kind::Counter, Count, SUBSCRIPTION,
        "Events that the publisher will never take.";
    EVENTS_PARKED = "outbox_events_parked_total", Kind::Counter, Count, SUBSCRIPTION,
        "Events kept aside with their reason, because they were rejected, unreadable or given up.";

    EVENTS_IN_FLIGHT = "outbox_in_flight_events", Kind::Gauge, Count, SUBSCRIPTION,
        "Events between being read and a durable checkpoint.";
    BYTES_IN_FLIGHT = "outbox_in_flight_bytes", Kind::Gauge, Bytes, SUBSCRIPTION,
        "Bytes of events held in memory.";
    WINDOW_EVENTS = "outbox_window_events", Kind::Gauge, Count, SUBSCRIPTION,
        "How many events there may be in flight.";
    WINDOW_BYTES = "outbox_window_bytes", Kind::Gauge, Bytes, SUBSCRIPTION,
        "How many bytes of events may be held in memory.";

    READ_DURATION = "outbox_read_duration_seconds", Kind::Histogram(DURATIONS), Seconds, SUBSCRIPTION,
        "How long a read of the log took.";
    PUBLISH_DURATION = "outbox_publish_duration_seconds", Kind::Histogram(DURATIONS), Seconds, SUBSCRIPTION,
        "How long the publisher took to answer a call.";
    CHECKPOINT_DURATION = "outbox_checkpoint_duration_seconds", Kind::Histogram(DURATIONS), Seconds, SUBSCRIPTION,
        "How long it took to write a checkpoint.";
    PUBLISH_ERRORS = "outbox_publish_errors_total", Kind::Counter, Count, &["subscription", "kind"],
        "Calls of the publisher that failed as a whole: unavailable, misconfigured or closed.";
    DATABASE_ERRORS = "outbox_database_errors_total", Kind::Counter, Count, &["operation", "kind"],
        "Calls of the database that failed, by what was tried and why it failed.";

    HOLES = "outbox_holes", Kind::Gauge, Count, SUBSCRIPTION,
        "Ranges of missing positions that open transactions may still fill.";
    OLDEST_HOLE = "outbox_oldest_hole_age_seconds", Kind::Gauge, Seconds, SUBSCRIPTION,
        "How long the oldest of them has been known; 0 without any.";

    LEASE_HELD = "outbox_lease_held", Kind::Gauge, Count, SUBSCRIPTION,
        "1 while this relay works the subscription, 0 while it does not.";
    LEASES_TAKEN = "outbox_leases_taken_total", Kind::Counter, Count, SUBSCRIPTION,
        "How often this relay took the lease.";
    LEASES_LOST = "outbox_leases_lost_total", Kind::Counter, Count, SUBSCRIPTION,
        "How often the lease was found to be another relay's.";

    WOKEN = "outbox_woken", Kind::Gauge, Count, &[],
        "1 while writers wake this relay when it sleeps, 0 while it polls.";

    LAG_EVENTS = "outbox_lag_events", Kind::Gauge, Count, SUBSCRIPTION,
        "Events not yet done with; above 10,000 an estimate that is rather too high.";
    LAG_SECONDS = "outbox_lag_seconds", Kind::Gauge, Seconds, SUBSCRIPTION,
        "The age of the oldest event not yet done with; 0 without any.";
    PARKED_KEYS = "outbox_parked_keys", Kind::Gauge, Count, SUBSCRIPTION,
        "Keys with an event that will not pass.";
    PARKED_EVENTS = "outbox_parked_events", Kind::Gauge, Count, SUBSCRIPTION,
        "Events that will not pass.";
    LOG_BYTES = "outbox_log_bytes", Kind::Gauge, Bytes, &[],
        "The size of the log on disk, on PostgreSQL.";
    OBSERVED = "outbox_observed_timestamp_seconds", Kind::Gauge, Seconds, &[],
        "When the database was last asked for lag, parked keys and the size of the log, in seconds since 1970.";

    SEGMENTS_EMPTIED = "outbox_cleanup_segments_emptied_total", Kind::Counter, Count, &[],
        "How often cleanup removed events from a segment.";
    BYTES_FREED = "outbox_cleanup_freed_bytes_total", Kind::Counter, Bytes, &[],
        "Disk that cleanup gave back, on PostgreSQL.";
    SEGMENTS_KEPT = "outbox_cleanup_segments_kept", Kind::Gauge, Count, &["reason"],
        "Segments that hold events, by what stood against emptying them in the last pass.";
    CLEANUP_TROUBLE = "outbox_cleanup_trouble", Kind::Gauge, Count, &[],
        "1 while the log is not cleaned as it should be, 0 while it is.";
}
