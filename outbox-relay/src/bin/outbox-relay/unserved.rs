//! In the place of `serve` where the program was built without it: metrics that were asked for are refused.

use std::io;

use outbox_relay::RunningRelay;

use crate::exit::Failure;
use crate::settings::Metrics;

/// Never there.
pub(crate) enum Server {}

impl Server {
    /// Refuses to serve what somebody asked for, and else does without.
    #[expect(clippy::unused_async, reason = "what it stands in for listens")]
    pub(crate) async fn start(Metrics { address, asked_for, token: _ }: Metrics) -> Result<Option<Self>, Failure> {
        let source = || {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "this program was built without metrics; build it with `--features full`",
            )
        };
        if asked_for { Err(Failure::Listen { address, source: source() }) } else { Ok(None) }
    }

    /// Tells of the relay that has started.
    pub(crate) fn show(&self, _: &RunningRelay) {
        match *self {}
    }
}
