//! The signals that end the program.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};

/// The first SIGTERM or SIGINT calls `first` and cancels the token; the second ends the program at once.
pub(crate) fn watch(first: impl FnOnce() + Send + 'static) -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let listen = |kind| signal(kind).map_err(Failure::System);
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        first();
        stopped.cancel();
        either(&mut terminate, &mut interrupt).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
