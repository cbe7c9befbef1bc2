//! Publishes to nowhere: for measuring, and for passing over a backlog on purpose.

use outbox_core::async_trait;
use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError, Publisher};

/// Takes every event and keeps none. Delivered means: read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Null;

#[async_trait]
impl Publisher for Null {
    fn describe(&self) -> String {
        "null".into()
    }

    fn discipline(&self) -> Discipline {
        Discipline { keeps_order: true, batch: 5000, calls: 1, checks: false }
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        Ok(vec![Answer::Published; batch.len()])
    }
}
