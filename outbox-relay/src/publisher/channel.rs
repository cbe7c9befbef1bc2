//! Publishes into a channel of the same process, and waits for the receiver's word.

use outbox_core::publisher::{Answer, Delivery, PublishError, PublishErrorKind, Publisher};
use outbox_core::{Event, async_trait};
use tokio::sync::{mpsc, oneshot};

/// The sending end, to be given to a subscription; see [`channel`].
#[derive(Debug, Clone)]
pub struct Channel(mpsc::Sender<Received>);

/// An event that came through a [`channel`], until it is answered for.
#[derive(Debug)]
pub struct Received {
    /// The event and which attempt this is.
    pub delivery: Delivery,
    answer: oneshot::Sender<Answer>,
}

/// A publisher whose events come out of the receiver: one in flight per key, at most `capacity` waiting to be received.
///
/// Delivered means: the receiver called [`Received::acknowledge`]. Dropping a [`Received`] unanswered has it sent again.
/// Dropping the receiver ends the subscription with an error.
pub fn channel(capacity: usize) -> (Channel, mpsc::Receiver<Received>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Channel(sender), receiver)
}

impl Received {
    /// The event.
    pub fn event(&self) -> &Event {
        &self.delivery.event
    }

    /// Says that the event is held durably.
    pub fn acknowledge(self) {
        self.answer(Answer::Published);
    }

    /// Says what became of the event.
    pub fn answer(self, answer: Answer) {
        // The relay may have stopped meanwhile; then the event is still open in its checkpoint.
        let _ = self.answer.send(answer);
    }
}

#[async_trait]
impl Publisher for Channel {
    fn describe(&self) -> String {
        "channel".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let (answer, answered) = oneshot::channel();
            let received = Received { delivery: delivery.clone(), answer };
            if self.0.send(received).await.is_err() {
                return Err(PublishError::new(PublishErrorKind::Closed, "the receiver of the channel was dropped"));
            }
            let dropped = |_| Answer::Retry { after: None, reason: "the receiver dropped the event unanswered".into() };
            answers.push(answered.await.unwrap_or_else(dropped));
        }
        Ok(answers)
    }
}
