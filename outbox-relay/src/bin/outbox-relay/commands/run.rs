//! `outbox-relay run`: publishes until it is told to stop, or until everything is published.

use std::io::Write;
use std::sync::Arc;

use outbox_core::Publisher;
use outbox_relay::publisher::{File, Null, Stdout};
use outbox_relay::{RelayBuilder, Subscription};

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::serve::Server;
use crate::settings::{self, PublisherUrl, Settings};
use crate::signals;
use crate::table::counted;

/// Runs the subscriptions.
pub(crate) async fn execute(mut settings: Settings) -> Result<Exit, Failure> {
    let stop = signals::watch(|| {
        tracing::info!("stopping: what is in flight is finished first; a second signal ends at once");
    })?;
    let server = match settings.metrics.take() {
        Some(metrics) => Server::start(metrics).await?,
        None => None,
    };
    let relay = builder(settings)?;
    let running = tokio::select! {
        started = relay.start() => started?,
        // Nothing was in flight yet.
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    if let Some(server) = &server {
        server.show(&running);
    }
    let handle = running.handle();
    let stopped = stop.clone();
    tokio::spawn(async move {
        stopped.cancelled().await;
        handle.stop();
    });
    let outcome = running.wait().await?;
    // A stop was asked for: what is blocked shows in `status`, and the shutdown went well.
    let blocked = outcome.blocked > 0 && !stop.is_cancelled();
    if blocked {
        let said = "will not pass by themselves: `outbox-relay why` names them, and what to do";
        // Nobody may read it, and the exit code says the same.
        let _ = writeln!(std::io::stderr(), "{} {said}", counted(outcome.blocked, "event"));
        return Ok(Exit::Blocked);
    }
    Ok(Exit::Done)
}

fn builder(settings: Settings) -> Result<RelayBuilder, Failure> {
    let Settings { database, relay, retention, subscriptions, until_empty, .. } = settings;
    let mut builder = adapter::relay(&database)?.expect_instance(database.expect_instance);
    builder = builder.until_empty(until_empty).retention(retention);
    if let Some(name) = relay.name {
        builder = builder.name(name);
    }
    if let Some(lease) = relay.lease {
        builder = builder.lease(lease);
    }
    if let Some(poll_max) = relay.poll_max {
        builder = builder.poll_max(poll_max);
    }
    if let Some(wake) = relay.wake {
        builder = builder.wake(wake);
    }
    if let Some(events) = relay.window_events {
        builder = builder.window_events(events);
    }
    if let Some(bytes) = relay.window_bytes {
        builder = builder.window_bytes(bytes);
    }
    if let Some(timeout) = relay.shutdown_timeout {
        builder = builder.shutdown_timeout(timeout);
    }
    for subscription in subscriptions {
        builder = builder.subscription(subscription_of(subscription));
    }
    Ok(builder)
}

fn subscription_of(settings: settings::Subscription) -> Subscription {
    let publisher: Arc<dyn Publisher> = match settings.publisher.value {
        PublisherUrl::Stdout => Arc::new(Stdout::new()),
        PublisherUrl::Null => Arc::new(Null),
        PublisherUrl::File(path) => Arc::new(File::new(path)),
    };
    let mut subscription = Subscription::shared(settings.name.value, publisher)
        .filter(settings.filter)
        .start(settings.start)
        .strict_order(settings.strict_order)
        .retry(settings.retry);
    if let Some(partitions) = settings.partitions {
        subscription = subscription.partitions(partitions);
    }
    if let Some(limit) = settings.call_timeout {
        subscription = subscription.call_timeout(limit);
    }
    subscription
}
