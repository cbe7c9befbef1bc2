//! What is recorded of the relay as a whole. Looked up each time, for none of it happens often.

use outbox_core::status::Glance;
use outbox_core::store::Database;
use outbox_core::{Clock, PublishError, PublishErrorKind, StoreError, StoreErrorKind};
use time::OffsetDateTime;

use super::names;
use crate::cleanup::{Outcome, Report};
use crate::subscription::Subscription;

/// What was tried when the database failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Check,
    Read,
    Checkpoint,
    Lease,
    Cleanup,
    Observe,
}

impl Operation {
    const ALL: [Self; 6] = [Self::Check, Self::Read, Self::Checkpoint, Self::Lease, Self::Cleanup, Self::Observe];

    fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Read => "read",
            Self::Checkpoint => "checkpoint",
            Self::Lease => "lease",
            Self::Cleanup => "cleanup",
            Self::Observe => "observe",
        }
    }
}

/// The words of today's kinds of failure.
const DATABASE_KINDS: [&str; 4] = ["unavailable", "precondition", "continuity", "fenced"];
const PUBLISH_KINDS: [&str; 3] = ["unavailable", "misconfigured", "closed"];

/// The words an obstacle may have, see [`outbox_core::cleanup::Obstacle`].
const REASONS: [&str; 7] = ["current", "nobody_reads", "behind", "owed", "young", "locked", "changing"];

/// Describes all metrics, and begins those at zero that may never move: only then is their first step seen.
pub(crate) fn started(clock: &dyn Clock, subscriptions: &[Subscription], window: (usize, u64)) {
    super::describe();
    names::START_TIME.gauge(&[]).set(seconds_since_1970(clock.time_of_day()));
    for operation in Operation::ALL {
        for kind in DATABASE_KINDS {
            names::DATABASE_ERRORS.counter(&[operation.word(), kind]).absolute(0);
        }
    }
    for Subscription { name, .. } in subscriptions {
        for kind in PUBLISH_KINDS {
            names::PUBLISH_ERRORS.counter(&[name, kind]).absolute(0);
        }
        window_of(name, window);
    }
    names::SEGMENTS_EMPTIED.counter(&[]).absolute(0);
    names::BYTES_FREED.counter(&[]).absolute(0);
}

#[expect(clippy::cast_precision_loss, reason = "no window is as large as that")]
fn window_of(subscription: &str, (events, bytes): (usize, u64)) {
    names::WINDOW_EVENTS.gauge(&[subscription]).set(events as f64);
    names::WINDOW_BYTES.gauge(&[subscription]).set(bytes as f64);
}

/// The database was checked, and is this one.
pub(crate) fn identified(relay: &str, database: &Database) {
    names::RELAY_INFO.gauge(&[env!("CARGO_PKG_VERSION"), relay, database.kind, &database.instance]).set(1.0);
}

/// A call of the database failed.
pub(crate) fn database_error(operation: Operation, error: &StoreError) {
    let kind = match error.kind() {
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::Precondition => "precondition",
        StoreErrorKind::Continuity => "continuity",
        StoreErrorKind::Fenced => "fenced",
        _ => "other",
    };
    names::DATABASE_ERRORS.counter(&[operation.word(), kind]).increment(1);
}

/// A call of the publisher failed as a whole.
pub(crate) fn publish_error(subscription: &str, error: &PublishError) {
    let kind = match error.kind() {
        PublishErrorKind::Unavailable => "unavailable",
        PublishErrorKind::Misconfigured => "misconfigured",
        PublishErrorKind::Closed => "closed",
        _ => "other",
    };
    names::PUBLISH_ERRORS.counter(&[subscription, kind]).increment(1);
}

/// Whether writers wake this relay.
pub(crate) fn woken(woken: bool) {
    names::WOKEN.gauge(&[]).set(if woken { 1.0 } else { 0.0 });
}

/// Cleanup made a pass.
pub(crate) fn cleaned(report: &Report) {
    let emptied = report.segments.iter().filter(|segment| segment.outcome == Outcome::Emptied);
    names::SEGMENTS_EMPTIED.counter(&[]).increment(emptied.clone().count() as u64);
    names::BYTES_FREED.counter(&[]).increment(emptied.filter_map(|segment| segment.bytes).sum());
    for reason in REASONS {
        let kept = report.segments.iter().filter(|segment| segment.reason == Some(reason)).count();
        names::SEGMENTS_KEPT.gauge(&[reason]).set(u32::try_from(kept).unwrap_or(u32::MAX));
    }
}

/// Whether something keeps the log from being cleaned as it should be.
pub(crate) fn cleaning_troubled(troubled: bool) {
    names::CLEANUP_TROUBLE.gauge(&[]).set(if troubled { 1.0 } else { 0.0 });
}

/// The database told how far subscriptions are behind. What is not known is not a number.
#[expect(clippy::cast_precision_loss, reason = "above 2^53 the last digits do not matter")]
pub(crate) fn observed(clock: &dyn Clock, glance: &Glance) {
    names::OBSERVED.gauge(&[]).set(seconds_since_1970(clock.time_of_day()));
    if let Some(bytes) = glance.log_bytes {
        names::LOG_BYTES.gauge(&[]).set(bytes as f64);
    }
    for backlog in &glance.backlogs {
        let of = &[backlog.subscription.as_str()];
        names::LAG_EVENTS.gauge(of).set(backlog.events.map_or(f64::NAN, |events| events as f64));
        names::LAG_SECONDS.gauge(of).set(backlog.seconds.unwrap_or(f64::NAN));
        names::PARKED_KEYS.gauge(of).set(backlog.parked_keys as f64);
        names::PARKED_EVENTS.gauge(of).set(backlog.parked_events as f64);
    }
}

/// A time of day as Prometheus has it.
fn seconds_since_1970(time: OffsetDateTime) -> f64 {
    (time - OffsetDateTime::UNIX_EPOCH).as_seconds_f64()
}
