//! The little of a status that is asked for again and again.

use super::{Status, SubscriptionStatus};

/// How far some subscriptions are behind, and how large the log is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Glance {
    /// The log's size on disk, where it is known.
    pub log_bytes: Option<u64>,
    /// Those of the subscriptions that have run before.
    pub backlogs: Vec<Backlog>,
}

/// What one subscription is not done with.
#[derive(Debug, Clone, PartialEq)]
pub struct Backlog {
    /// Its name.
    pub subscription: String,
    /// Events not yet done with. Events a filter leaves out count until the reader has passed them.
    pub events: Option<u64>,
    /// The age of the oldest of them.
    pub seconds: Option<f64>,
    /// Keys with an event that will not pass.
    pub parked_keys: u64,
    /// Events that will not pass.
    pub parked_events: u64,
}

impl Glance {
    /// What a status says of these subscriptions.
    pub fn of(status: Status, subscriptions: &[String]) -> Self {
        let asked = status.subscriptions.into_iter().filter(|each| subscriptions.contains(&each.name));
        Self { log_bytes: status.log.bytes, backlogs: asked.map(Backlog::from).collect() }
    }
}

impl From<SubscriptionStatus> for Backlog {
    fn from(status: SubscriptionStatus) -> Self {
        Self {
            subscription: status.name,
            events: status.lag_events,
            seconds: status.lag_seconds,
            parked_keys: status.parked_keys,
            parked_events: status.parked_events,
        }
    }
}
