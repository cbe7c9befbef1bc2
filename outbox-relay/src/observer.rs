//! Asks the database for what it alone knows, when somebody reads metrics: lag, parked keys, the size of the log.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_core::{Clock, Store};
use tokio::sync::Mutex;

use crate::metrics::{self, Operation};
use crate::reaction;

/// The database is asked so often at most.
const AT_MOST_EVERY: Duration = Duration::from_secs(15);

/// Brings the metrics up to date that the database alone can tell: lag, parked keys and the size of the log.
///
/// Nobody who reads metrics, no statement: a relay does not ask by itself. Call [`Observer::observe`] before each reading.
#[derive(Clone)]
pub struct Observer(Arc<Watch>);

/// Shows the database and whose lag it is asked for.
impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?}", self.0.store.describe(), self.0.subscriptions)
    }
}

struct Watch {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    subscriptions: Vec<String>,
    asked_at: Mutex<Option<Instant>>,
}

impl Observer {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, subscriptions: Vec<String>) -> Self {
        Self(Arc::new(Watch { store, clock, subscriptions, asked_at: Mutex::new(None) }))
    }

    /// Asks the database for this relay's subscriptions, unless it was asked within 15 seconds; who comes meanwhile waits for
    /// the same answer. Without one the metrics stay as they are, and `outbox_observed_timestamp_seconds` tells their age.
    ///
    /// Costs a connection and two statements, and one for each subscription; see [`Store::glance`] for their bound. Dropping it
    /// before leaves the metrics as they are.
    pub async fn observe(&self) {
        let Watch { store, clock, subscriptions, asked_at } = &*self.0;
        let mut asked_at = asked_at.lock().await;
        let now = clock.now();
        if asked_at.is_some_and(|at| now.saturating_duration_since(at) < AT_MOST_EVERY) {
            return;
        }
        *asked_at = Some(now);
        match store.glance(subscriptions).await {
            Ok(glance) => metrics::observed(clock.as_ref(), &glance),
            Err(error) => {
                metrics::database_error(Operation::Observe, &error);
                tracing::debug!(reason = reaction::chain(&error), "lag and parked keys are not known");
            }
        }
    }
}
