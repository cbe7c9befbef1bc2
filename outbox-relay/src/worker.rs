//! The worker of one subscription: makes ready, works a term, and begins again when a lease is lost.

use std::time::Duration;

use outbox_core::publisher::{Origin, PublishErrorKind};
use outbox_core::store::Database;
use outbox_core::{PublishError, StoreError};

use crate::error::RelayError;
use crate::memory::Memory;
use crate::reaction::{self, Reaction};
use crate::retry::Schedule;
use crate::subscription::Subscription;
use crate::term::{self, End, Mandate};

/// Works one subscription, term after term, and returns how many of its events will not pass.
pub(crate) async fn work(mandate: Mandate) -> Result<u64, RelayError> {
    let ended = work_terms(&mandate).await;
    if let Err(error) = mandate.subscription.publisher.close().await {
        tracing::warn!(subscription = mandate.subscription.name, error = %reaction::chain(&error), "publisher did not close");
    }
    ended
}

async fn work_terms(mandate: &Mandate) -> Result<u64, RelayError> {
    let name = &mandate.subscription.name;
    let mut grants = mandate.seat.grants();
    let mut schedule = Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
    let patience = Patience(mandate);
    let mut at_work = false;
    loop {
        let granted = tokio::select! {
            granted = grants.wait_for(Option::is_some) => granted.map(|epoch| *epoch).unwrap_or_default(),
            () = mandate.stop.cancelled() => return Ok(0),
            () = patience.run_out() => return Err(patience.error()),
        };
        let Some(epoch) = granted else { return Ok(0) };
        let readiness = ready(mandate, at_work).await;
        at_work |= readiness.is_ok();
        let trouble = match readiness {
            Ok(()) => match term::run(mandate, epoch, grants.clone()).await {
                Ok(End::Stopped) => return Ok(0),
                Ok(End::Emptied { blocked }) => return Ok(blocked),
                Ok(End::Lost) => {
                    mandate.seat.vacate();
                    continue;
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !may_pass(&trouble, at_work) {
            return Err(trouble);
        }
        let reason = reaction::chain(&trouble);
        tracing::warn!(subscription = name, reason, "not ready, trying again");
        mandate.seat.report(|report| {
            report.state = "retrying".into();
            report.last_error = Some(reason);
        });
        tokio::select! {
            () = mandate.settings.clock.sleep(schedule.next_delay()) => {}
            () = mandate.stop.cancelled() => return Ok(0),
            () = patience.run_out() => return Err(patience.error()),
        }
    }
}

/// How long a relay that is to end when all is published waits while nothing moves, between terms too.
struct Patience<'m>(&'m Mandate);

impl Patience<'_> {
    async fn run_out(&self) {
        match self.0.settings.until_empty {
            Some(limit) => self.0.settings.clock.sleep_until(self.0.seat.progressed_at() + limit).await,
            None => std::future::pending().await,
        }
    }

    fn error(&self) -> RelayError {
        let reason = self.0.seat.last_error().unwrap_or_else(|| "the database cannot be reached".into());
        let waited = self.0.settings.until_empty.unwrap_or_default();
        RelayError::Timeout { subscription: self.0.subscription.name.clone(), waited, reason }
    }
}

/// Whether trying again may help.
fn may_pass(error: &RelayError, at_work: bool) -> bool {
    match error {
        RelayError::Store(error) => reaction::to_store_error(error, at_work) == Reaction::Retry,
        RelayError::Publisher { error, .. } => match error.kind() {
            PublishErrorKind::Unavailable => true,
            PublishErrorKind::Misconfigured => at_work,
            _ => false,
        },
        _ => false,
    }
}

/// Checks the database and opens the publisher.
async fn ready(mandate: &Mandate, at_work: bool) -> Result<(), RelayError> {
    let database = check(&mandate.memory, at_work).await?.map_err(RelayError::Store)?;
    let opened = open(&mandate.subscription, &database).await;
    opened.map_err(|error| publisher_error(&mandate.subscription, error))
}

/// Checks that the relay may work here. The outer error is one a person must mend, the inner one may pass.
pub(crate) async fn check(memory: &Memory, at_work: bool) -> Result<Result<Database, StoreError>, RelayError> {
    match memory.recognise().await {
        Err(error) if reaction::to_store_error(&error, at_work) == Reaction::Stop => Err(RelayError::Store(error)),
        checked => Ok(checked),
    }
}

pub(crate) async fn open(subscription: &Subscription, database: &Database) -> Result<(), PublishError> {
    let origin = Origin { source: source_of(database), subscription: subscription.name.clone() };
    subscription.publisher.open(&origin).await
}

pub(crate) fn publisher_error(subscription: &Subscription, error: PublishError) -> RelayError {
    RelayError::Publisher { subscription: subscription.name.clone(), error }
}

/// The `source` of CloudEvents from this database.
pub(crate) fn source_of(database: &Database) -> String {
    format!("/outbox/{}", segment(&database.name))
}

/// A database's name as a path segment: RFC 3986 knows only these characters unescaped.
fn segment(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_uri_reference_whatever_the_database_is_called() {
        assert_eq!(segment("shop_1.eu-west~"), "shop_1.eu-west~");
        assert_eq!(segment("my shop/ä"), "my%20shop%2F%C3%A4");
    }
}
