//! When a term is over, and when to look again where nothing happens.

use std::time::{Duration, Instant};

use super::{CHECKPOINT_DELAY, End, Term};
use crate::error::RelayError;
use crate::failpoint::{self, Failpoint};

impl Term<'_> {
    /// Whether a durable checkpoint holds all there is to say.
    pub(super) fn is_settled(&self) -> bool {
        self.writing.is_none() && self.dirty_since.is_none()
    }

    /// Whether the term is over.
    pub(super) fn end(&self, now: Instant) -> Result<Option<End>, RelayError> {
        let settled = self.is_settled();
        if let Some(since) = self.stopping_since {
            let limit = self.mandate.settings.shutdown_timeout;
            if self.reading.is_none() && self.calls.is_empty() && settled {
                let (end, place) = if self.reshaping {
                    (End::Reshaped, Failpoint::HandOverSettled)
                } else {
                    (End::Stopped, Failpoint::StopSettled)
                };
                failpoint::reached(place);
                return Ok(Some(end));
            }
            if now.duration_since(since) >= limit {
                if self.reshaping {
                    return Ok(Some(End::Lost));
                }
                let subscription = self.mandate.subscription.name.clone();
                return Err(RelayError::NotDrained { subscription, waited: limit, unanswered: self.calls.len() });
            }
            return Ok(None);
        }
        let (Some(target), Some(limit)) = (self.target, self.mandate.settings.until_empty) else { return Ok(None) };
        let holes_closed = self.frontier.first_open().is_none_or(|open| open > target);
        let passed = self.dispatch.open().first().is_none_or(|open| open > target) || self.dispatch.only_blocked_left();
        let full = (self.is_full() || self.dispatch.cap().is_some()) && self.dispatch.only_blocked_left();
        let drained = !self.dispatch.is_draining();
        if ((self.seen_all && holes_closed && passed && drained) || full) && settled {
            let others = (!self.share.is_whole()).then_some(target);
            return Ok(Some(End::Emptied { blocked: self.will_not_pass(), others }));
        }
        if now.saturating_duration_since(self.mandate.seat.progressed_at()) >= limit {
            return Err(RelayError::Timeout {
                subscription: self.mandate.subscription.name.clone(),
                waited: limit,
                reason: self.waiting_for(),
            });
        }
        Ok(None)
    }

    /// When something is due without anything having happened.
    pub(super) fn next_timer(&self, now: Instant) -> Instant {
        let pace = &self.pace;
        let far = now + Duration::from_hours(1);
        let later = |at: Instant, wanted: bool| if wanted && at > now { at } else { far };
        let mut next = later(pace.read_at, self.reading.is_none())
            .min(later(pace.call_at, true))
            .min(later(pace.write_at, self.dirty_since.is_some()))
            .min(later(self.dispatch.next_wake().unwrap_or(far), true));
        if let Some(since) = self.dirty_since {
            next = next.min(later(since + CHECKPOINT_DELAY, self.writing.is_none()));
        }
        if let Some(since) = self.stopping_since {
            next = next.min(since + self.mandate.settings.shutdown_timeout);
        }
        if let (Some(limit), None) = (self.mandate.settings.until_empty, self.stopping_since) {
            next = next.min(self.mandate.seat.progressed_at() + limit);
        }
        next
    }
}
