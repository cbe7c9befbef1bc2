//! Publishes to nowhere and counts, so that a bench knows that nothing was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Result;
use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError};
use outbox_core::{Publisher, Store, async_trait};
use outbox_relay::publisher::Null;
use outbox_relay::{Relay, Subscription};

/// How long a drain may make no progress.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

struct Counted(Arc<AtomicI64>);

#[async_trait]
impl Publisher for Counted {
    fn describe(&self) -> String {
        Null.describe()
    }

    fn discipline(&self) -> Discipline {
        Null.discipline()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        self.0.fetch_add(i64::try_from(batch.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
        Null.publish(batch).await
    }
}

/// Drains a whole outbox by an embedded relay that publishes to nowhere; how many events came.
///
/// The subscription is a new one, so that the outbox is read from its beginning.
pub(crate) async fn drain(store: impl Store, subscription: String) -> Result<i64> {
    let count = Arc::new(AtomicI64::new(0));
    let subscription = Subscription::new(subscription, Counted(Arc::clone(&count)));
    Relay::builder(store).subscription(subscription).until_empty(Some(PATIENCE)).start().await?.wait().await?;
    Ok(count.load(Ordering::Relaxed))
}
