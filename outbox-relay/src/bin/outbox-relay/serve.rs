//! Serves `/metrics`, `/healthz` and `/readyz`, and nothing that changes anything.
//!
//! Connections are tasks of their own: one that is slow or silent is dropped after a while, and none delays the relay.

mod connection;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use outbox_core::Clock as _;
use outbox_relay::metrics::{Kind, names};
use outbox_relay::{RunningRelay, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::exit::Failure;
use crate::settings::Metrics;
use pages::Pages;

/// How often what was measured is sorted into classes: what waits for it takes memory.
const UPKEEP: Duration = Duration::from_secs(1);

/// Metrics and health, as long as this value lives.
pub(crate) struct Server {
    pages: Arc<Pages>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Listens, and lets the relay that starts next record its metrics. `None` where another process has the default
    /// address: that is no reason not to publish.
    pub(crate) async fn start(settings: Metrics) -> Result<Option<Self>, Failure> {
        let Metrics { address, asked_for, token } = settings;
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(source) if asked_for => return Err(Failure::Listen { address, source }),
            Err(error) => {
                tracing::warn!(%error, "no metrics: {address} is not free; give this relay another with --metrics, or off");
                return Ok(None);
            }
        };
        tell(listener.local_addr().unwrap_or(address));
        let recorded = record()?;
        let pages = Arc::new(Pages::new(recorded.clone(), token));
        let tasks = [
            tokio::spawn(connection::accept(listener, pages.clone())),
            tokio::spawn(async move { upkeep(recorded).await }),
        ];
        Ok(Some(Self { pages, tasks }))
    }

    /// Tells of the relay that has started.
    pub(crate) fn show(&self, relay: &RunningRelay) {
        self.pages.show(relay.health(), relay.observer());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn tell(address: SocketAddr) {
    tracing::info!("metrics on http://{address}/metrics");
}

/// Has metrics of this process recorded.
fn record() -> Result<PrometheusHandle, Failure> {
    let failed = |error| Failure::System(std::io::Error::other(error));
    let mut builder = PrometheusBuilder::new();
    for metric in names::ALL {
        if let Kind::Histogram(classes) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), classes).map_err(failed)?;
        }
    }
    builder.install_recorder().map_err(failed)
}

async fn upkeep(recorded: PrometheusHandle) {
    loop {
        SystemClock.sleep(UPKEEP).await;
        recorded.run_upkeep();
    }
}
