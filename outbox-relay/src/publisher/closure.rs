//! Publishes through an async closure of the application.

use std::future::Future;

use outbox_core::publisher::{Answer, Delivery, PublishError, Publisher};
use outbox_core::{Event, async_trait};

/// See [`closure`].
#[derive(Debug, Clone)]
pub struct Closure<F>(F);

/// A publisher that calls `publish` for each event: one in flight per key, up to 1,000 keys together.
///
/// Delivered means: the closure returned `Ok`. An error is tried again with back-off; its text is shown to people, so it
/// must hold no secret and no payload.
///
/// # Examples
///
/// ```
/// use outbox_relay::Subscription;
/// use outbox_relay::publisher::closure;
///
/// let subscription = Subscription::new("mails", closure(|event| async move {
///     println!("{} {}", event.topic, event.key);
///     Ok::<(), std::io::Error>(())
/// }));
/// ```
pub fn closure<F, Fut, E>(publish: F) -> Closure<F>
where
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display + Send,
{
    Closure(publish)
}

#[async_trait]
impl<F, Fut, E> Publisher for Closure<F>
where
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display + Send,
{
    fn describe(&self) -> String {
        "closure".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let outcome = (self.0)((*delivery.event).clone()).await;
            answers.push(match outcome {
                Ok(()) => Answer::Published,
                Err(error) => Answer::Retry { after: None, reason: error.to_string() },
            });
        }
        Ok(answers)
    }
}
