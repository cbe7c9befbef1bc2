//! What a term says of itself: in the log when something goes wrong, and with the lease for `status`.

use std::time::{Duration, Instant};

use outbox_core::Clock;
use outbox_core::frontier::Hole;
use outbox_core::status::{REPORTED_HOLES, ReportedHolder, ReportedHole};
use time::OffsetDateTime;

use super::Term;
use crate::dispatch::{Cap, Unfit};
use crate::retry::Retry;

/// Events that cannot be published are told of so often at most.
const UNFIT: Duration = Duration::from_secs(10);

impl Term<'_> {
    /// Logs a failure, once for each reason, and reports it.
    pub(super) fn trouble(&self, what: &str, reason: &str) {
        let subscription = &self.mandate.subscription.name;
        if self.mandate.seat.last_error().as_deref() != Some(reason) {
            tracing::warn!(subscription, reason, "{what}");
        }
        self.mandate.seat.report(|report| {
            report.state = "retrying".into();
            report.last_error = Some(reason.to_owned());
        });
    }

    /// Logs that events were not handed to the publisher at all; one of them, and not again and again.
    pub(super) fn tell_unfit(&mut self, now: Instant) {
        if now < self.pace.unfit_at {
            return;
        }
        if let Some(Unfit { position, reason, events }) = self.dispatch.take_unfit() {
            let subscription = &self.mandate.subscription.name;
            tracing::warn!(subscription, position, reason, events, "events that cannot be published");
            self.pace.unfit_at = now + UNFIT;
        }
    }

    /// Tells the heartbeat how things are.
    pub(super) fn report(&self, now: Instant) {
        let clock = self.mandate.settings.clock.as_ref();
        let holes = self.frontier.holes().take(REPORTED_HOLES).map(|hole| reported(hole, clock, now)).collect();
        let blocked = self.dispatch.blocked().first_key_value();
        let resting = self.dispatch.next_wake().is_some();
        let moving = self.dispatch.is_moving() || self.unsaved > 0;
        // A read that goes well does not make a checkpoint good that cannot be written.
        let failing = self.pace.call_at > now || self.pace.write_failures.has_failed();
        let stopped = self.stopped_by();
        let oldest = self.frontier.oldest().map(|first_seen| now.saturating_duration_since(first_seen));
        self.mandate.seat.metrics.holes(self.frontier.hole_count(), oldest);
        self.mandate.seat.metrics.in_flight(self.dispatch.events() + self.unsaved, self.dispatch.bytes());
        self.mandate.seat.report(|report| {
            report.holes = holes;
            if let Some((state, reason)) = stopped {
                report.state = state.into();
                report.last_error = reason.or_else(|| report.last_error.take());
                return;
            }
            match blocked {
                Some((position, letter)) => {
                    report.state = "blocked".into();
                    let full = if self.is_full() {
                        "; the window is full of events behind such ones, so nothing more is read"
                    } else {
                        ""
                    };
                    report.last_error = Some(format!("position {position} does not pass: {}{full}", letter.reason));
                }
                None if resting || failing => report.state = "retrying".into(),
                None => {
                    report.state = if moving { "running" } else { "idle" }.into();
                    report.last_error = None;
                }
            }
        });
    }

    /// The state and the reason where all of it stands still.
    fn stopped_by(&self) -> Option<(&'static str, Option<String>)> {
        if self.mandate.seat.is_paused() {
            return Some(("paused", None));
        }
        if self.frontier.stands_still() {
            let (gaps, above) = (self.frontier.hole_count(), self.frontier.position());
            let reason = if self.mandate.subscription.strict_order {
                format!(
                    "with order = \"strict\" nothing above position {above} is read until the transactions that drew what is missing have ended"
                )
            } else {
                format!(
                    "{gaps} gaps are open, the most there may be: nothing above position {above} is read until the transactions that drew them have ended"
                )
            };
            return Some(("blocked", Some(reason)));
        }
        if let Some(cap) = self.dispatch.cap() {
            let Retry { max_parked, max_parked_keys, .. } = self.mandate.subscription.retry;
            let full = match cap {
                Cap::Letters => format!("a key has {max_parked} dead letters, the most it may have"),
                Cap::Keys(keys) => format!("{keys} keys have dead letters, of {max_parked_keys} that may"),
            };
            return Some(("blocked", Some(format!("{full}; nothing more is read until some are decided about"))));
        }
        self.dispatch.is_broken().then(|| {
            let last = self.mandate.seat.last_error().unwrap_or_default();
            let told = "nearly every event fails, so one at a time is tried and none is given up";
            let reason = if last.starts_with(told) { last } else { format!("{told}: {last}") };
            ("retrying", Some(reason))
        })
    }

    /// Events that will not pass, as far as this relay knows, and those that wait behind them elsewhere than here.
    pub(super) fn will_not_pass(&self) -> u64 {
        self.dispatch.blocked().len() as u64 + self.dispatch.letters()
    }

    /// Whether blocked events and those behind them leave no room to read on.
    pub(super) fn is_full(&self) -> bool {
        let settings = &self.mandate.settings;
        self.dispatch.events() >= settings.window_events || self.dispatch.bytes() as u64 >= settings.window_bytes
    }

    /// Why nothing moves, for the error of a relay that gives up.
    pub(super) fn waiting_for(&self) -> String {
        if self.mandate.seat.is_paused() {
            return "it is paused: `outbox-relay resume` lets it go on".to_owned();
        }
        if let Some(error) = self.mandate.seat.last_error() {
            return error;
        }
        match self.frontier.holes().next() {
            Some(hole) => {
                format!("an open transaction may still write positions {} to {}", hole.range.start(), hole.range.end())
            }
            None => "the publisher has not answered".to_owned(),
        }
    }
}

fn reported(hole: Hole, clock: &dyn Clock, now: Instant) -> ReportedHole {
    let first_seen = clock.time_of_day() - now.saturating_duration_since(hole.first_seen);
    let holders = hole.holders.into_iter().map(|holder| ReportedHolder {
        transaction: holder.transaction,
        pid: holder.pid,
        prepared: holder.prepared,
    });
    ReportedHole {
        from: *hole.range.start(),
        to: *hole.range.end(),
        first_seen: (first_seen - OffsetDateTime::UNIX_EPOCH).as_seconds_f64(),
        holders: holders.collect(),
    }
}
