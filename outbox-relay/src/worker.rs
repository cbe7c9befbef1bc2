//! The worker of one subscription: makes ready, works a term, and begins again when a lease is lost.

use std::time::{Duration, Instant};

use outbox_core::publisher::{Origin, PublishErrorKind};
use outbox_core::store::Database;
use outbox_core::{PublishError, Store, StoreError};

use crate::error::RelayError;
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
    let mut patience = Patience::new(mandate);
    loop {
        let granted = tokio::select! {
            granted = grants.wait_for(Option::is_some) => granted.map(|epoch| *epoch).unwrap_or_default(),
            () = mandate.stop.cancelled() => return Ok(0),
            () = patience.run_out() => return Err(patience.error(mandate)),
        };
        let Some(epoch) = granted else { return Ok(0) };
        let trouble = match ready(mandate).await {
            Ok(()) => match term::run(mandate, epoch, grants.clone()).await {
                Ok(End::Stopped) => return Ok(0),
                Ok(End::Emptied { blocked }) => return Ok(blocked),
                Ok(End::Lost) => {
                    mandate.seat.vacate();
                    patience = Patience::new(mandate);
                    continue;
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !may_pass(&trouble) {
            return Err(trouble);
        }
        let reason = reaction::chain(&trouble);
        tracing::warn!(subscription = name, reason, "not ready, trying again");
        mandate.seat.report(|report| {
            report.state = "retrying".into();
            report.last_error = Some(reason);
        });
        tokio::select! {
            () = tokio::time::sleep(schedule.next_delay()) => {}
            () = mandate.stop.cancelled() => return Ok(0),
            () = patience.run_out() => return Err(patience.error(mandate)),
        }
    }
}

/// How long a relay that is to end when all is published waits for its first term.
struct Patience(Option<(Instant, Duration)>);

impl Patience {
    fn new(mandate: &Mandate) -> Self {
        Self(mandate.settings.until_empty.map(|limit| (Instant::now(), limit)))
    }

    async fn run_out(&self) {
        match self.0 {
            Some((since, limit)) => tokio::time::sleep_until((since + limit).into()).await,
            None => std::future::pending().await,
        }
    }

    fn error(&self, mandate: &Mandate) -> RelayError {
        let reason = mandate.seat.last_error().unwrap_or_else(|| "the database cannot be reached".into());
        let waited = self.0.map(|(_, limit)| limit).unwrap_or_default();
        RelayError::Timeout { subscription: mandate.subscription.name.clone(), waited, reason }
    }
}

/// Whether trying again may help.
fn may_pass(error: &RelayError) -> bool {
    match error {
        RelayError::Store(error) => reaction::to_store_error(error) == Reaction::Retry,
        RelayError::Publisher { error, .. } => error.kind() == PublishErrorKind::Unavailable,
        _ => false,
    }
}

/// Checks the database and opens the publisher.
async fn ready(mandate: &Mandate) -> Result<(), RelayError> {
    let database = check(mandate.store.as_ref()).await?.map_err(RelayError::Store)?;
    let opened = open(&mandate.subscription, &database).await;
    opened.map_err(|error| publisher_error(&mandate.subscription, error))
}

/// The outer error is one a person must mend, the inner one may pass.
pub(crate) async fn check(store: &dyn Store) -> Result<Result<Database, StoreError>, RelayError> {
    match store.check().await {
        Err(error) if reaction::to_store_error(&error).is_final() => Err(RelayError::Store(error)),
        checked => Ok(checked),
    }
}

pub(crate) async fn open(subscription: &Subscription, database: &Database) -> Result<(), PublishError> {
    let origin = Origin { source: format!("/outbox/{}", database.name), subscription: subscription.name.clone() };
    subscription.publisher.open(&origin).await
}

pub(crate) fn publisher_error(subscription: &Subscription, error: PublishError) -> RelayError {
    RelayError::Publisher { subscription: subscription.name.clone(), error }
}
