//! Connections: how many, for how long, and how much a client may say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use outbox_core::Clock as _;
use outbox_relay::SystemClock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::pages::Pages;

/// So many are served at a time; others wait until one has ended.
const AT_ONCE: usize = 32;
/// How long a client may take to send its request.
const REQUEST: Duration = Duration::from_secs(1);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(10);
/// A request is no longer than this, in bytes.
const LONGEST: usize = 16 << 10;
/// The pause after a connection that could not be taken, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the task is aborted.
pub(super) async fn accept(listener: TcpListener, pages: Arc<Pages>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = pages.clone();
                tokio::spawn(async move {
                    serve(stream, pages).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics could not be taken");
                SystemClock.sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request; whatever goes wrong with it is the client's to see.
async fn serve(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let answered = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(LONGEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = answered => {}
        () = SystemClock.sleep(WHOLE) => {}
    }
}
