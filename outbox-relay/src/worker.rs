//! The worker of one subscription: makes ready, works a term, and begins again when a lease is lost.

use std::time::Duration;

use outbox_core::checkpoint::Held;
use outbox_core::partition::Change;
use outbox_core::publisher::{Origin, PublishErrorKind};
use outbox_core::store::Database;
use outbox_core::{Position, PublishError, StoreError};

use crate::connections::Ledger;
use crate::error::RelayError;
use crate::memory::Memory;
use crate::metrics::{self, Operation};
use crate::reaction::{self, Reaction};
use crate::retry::Schedule;
use crate::subscription::Subscription;
use crate::term::{self, End, Mandate};

/// How long to wait before looking again at what other relays do.
const CHANGE_PAUSE: Duration = Duration::from_millis(100);

/// Works one subscription, term after term, and returns how many of its events will not pass.
pub(crate) async fn work(mandate: Mandate) -> Result<u64, RelayError> {
    let ended = work_terms(&mandate).await;
    mandate.seat.metrics.rests();
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
    ask_partitions(mandate).await;
    loop {
        let held = tokio::select! {
            biased;
            () = mandate.stop.cancelled() => return Ok(0),
            granted = grants.wait_for(|grant| !grant.work().is_empty()) => granted.map(|grant| grant.work()).unwrap_or_default(),
            () = change_partitions(mandate) => continue,
            () = patience.run_out() => return Err(patience.error()),
        };
        if held.is_empty() {
            return Ok(0);
        }
        let readiness = ready(mandate, at_work).await;
        at_work |= readiness.is_ok();
        let outcome = match readiness {
            Ok(()) => {
                mandate.seat.work(&held);
                let outcome = term::run(mandate, &held, grants.clone()).await;
                mandate.seat.work(&[]);
                mandate.seat.vitals.rests();
                outcome
            }
            Err(error) => Err(error),
        };
        let trouble = match outcome {
            Ok(End::Stopped) => return Ok(0),
            Ok(End::Emptied { blocked, others: None }) => return Ok(blocked),
            Ok(End::Emptied { blocked, others: Some(target) }) => match others_emptied(mandate, &held, target).await {
                Ok(true) => return Ok(blocked),
                Ok(false) => continue,
                Err(error) => RelayError::Store(error),
            },
            Ok(End::Reshaped) => continue,
            Ok(End::Lost) => {
                mandate.seat.vacate();
                continue;
            }
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
            biased;
            () = mandate.stop.cancelled() => return Ok(0),
            () = mandate.settings.clock.sleep(schedule.next_delay()) => {}
            () = patience.run_out() => return Err(patience.error()),
        }
    }
}

/// Asks for the number of partitions, where the configuration says one; what fails here is asked for again after a write.
async fn ask_partitions(mandate: &Mandate) {
    let mut ledger = Ledger::new(mandate.store.clone(), mandate.subscription.name.clone(), Vec::new());
    if let Err(error) = ledger.ask(&mandate.seat).await {
        let (subscription, reason) = (&mandate.subscription.name, reaction::chain(&error));
        tracing::debug!(subscription, reason, "the number of partitions could not be asked for yet");
    }
}

/// Changes the number of partitions as soon as the heartbeat sees that somebody asked for it and all leases are free.
async fn change_partitions(mandate: &Mandate) {
    let mut changes = mandate.seat.changes();
    if changes.wait_for(|changing| *changing).await.is_err() {
        return std::future::pending().await;
    }
    let mut ledger = Ledger::new(mandate.store.clone(), mandate.subscription.name.clone(), Vec::new());
    match ledger.repartition().await {
        Ok(Change::Nothing) => _ = mandate.seat.set_changing(false),
        Ok(Change::Made { from, to }) => {
            tracing::info!(subscription = mandate.subscription.name, from, to, "the number of partitions has changed");
            mandate.seat.set_changing(false);
        }
        Ok(Change::Later) => {}
        Err(error) => {
            let (subscription, reason) = (&mandate.subscription.name, reaction::chain(&error));
            tracing::warn!(subscription, reason, "the number of partitions could not be changed, trying again");
        }
    }
    mandate.seat.hurry();
    mandate.settings.clock.sleep(CHANGE_PAUSE).await;
}

/// Waits until the partitions that other relays work are done up to the target, or some of them fall to this relay.
async fn others_emptied(mandate: &Mandate, held: &[Held], target: Position) -> Result<bool, StoreError> {
    let mut ledger = Ledger::new(mandate.store.clone(), mandate.subscription.name.clone(), Vec::new());
    let mut grants = mandate.seat.grants();
    let patience = Patience(mandate);
    loop {
        let lowest = ledger.lowest().await?;
        let own = |partition: &u32| held.iter().any(|held| held.partition == *partition);
        if lowest.iter().filter(|(partition, _)| !own(partition)).all(|(_, lowest)| *lowest > target) {
            return Ok(true);
        }
        tokio::select! {
            biased;
            () = mandate.stop.cancelled() => return Ok(false),
            _ = grants.wait_for(|grant| grant.work() != held) => return Ok(false),
            () = mandate.settings.clock.sleep(CHANGE_PAUSE) => {}
            () = patience.run_out() => return Ok(false),
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
    metrics::identified(&mandate.settings.name, &database);
    let opened = open(&mandate.subscription, &database).await;
    opened.map_err(|error| publisher_error(&mandate.subscription, error))
}

/// Checks that the relay may work here. The outer error is one a person must mend, the inner one may pass.
pub(crate) async fn check(memory: &Memory, at_work: bool) -> Result<Result<Database, StoreError>, RelayError> {
    match memory.recognise().await.inspect_err(|error| metrics::database_error(Operation::Check, error)) {
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
