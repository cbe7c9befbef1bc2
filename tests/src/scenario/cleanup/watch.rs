//! What writers meet with while segments are emptied, or while none is.

use std::fmt;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::inserts::{Inserts, insert_again_and_again};
use super::waits::{Waits, look_again_and_again};
use crate::database::Database;

/// A writer whose inserts are timed, and somebody who looks what writers wait for.
pub(super) struct Watch {
    inserts: JoinHandle<Result<Inserts>>,
    waits: JoinHandle<Result<Waits>>,
    stop: CancellationToken,
}

/// What came of it.
pub(super) struct Seen {
    inserts: Inserts,
    pub(super) waits: Waits,
}

impl Watch {
    /// Begins; the keys of the timed inserts are called after the phase.
    pub(super) fn begin(database: &Database, phase: &'static str) -> Self {
        let stop = CancellationToken::new();
        let inserts = tokio::spawn(insert_again_and_again(database.clone(), phase, stop.clone()));
        let waits = tokio::spawn(look_again_and_again(database.clone(), stop.clone()));
        Self { inserts, waits, stop }
    }

    /// Ends it.
    pub(super) async fn end(self) -> Result<Seen> {
        self.stop.cancel();
        Ok(Seen { inserts: self.inserts.await??, waits: self.waits.await?? })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.inserts, self.waits)
    }
}
