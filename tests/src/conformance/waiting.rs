//! Waiting for something to become true, for no longer than a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// Whatever takes longer than this has failed; a sound run needs a small part of it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that sends no signal.
const LOOK: Duration = Duration::from_millis(2);

/// Awaits the future no longer than the deadline.
///
/// # Panics
///
/// When the deadline passes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(elapsed) => panic!("{what}: not within {DEADLINE:?}, {elapsed}"),
    }
}

/// Looks until the condition holds.
///
/// # Panics
///
/// When the deadline passes; the message shows what was seen last.
pub async fn eventually<T: Debug>(what: &str, mut look: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let give_up = tokio::time::Instant::now() + DEADLINE;
    loop {
        let seen = look().await;
        if wanted(&seen) {
            return seen;
        }
        assert!(tokio::time::Instant::now() < give_up, "{what}: not within {DEADLINE:?}, last seen: {seen:?}");
        between_looks().await;
    }
}

/// The pause before the next look at a process, a file or a server that sends no signal. Nothing is ever right because it
/// was waited for: the loop around it looks at a condition and has a deadline.
#[expect(clippy::disallowed_methods, reason = "the one place where tests sleep")]
pub async fn between_looks() {
    tokio::time::sleep(LOOK).await;
}
