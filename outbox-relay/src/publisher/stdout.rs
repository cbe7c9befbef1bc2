//! Publishes to standard output as JSON Lines.

use std::io::{self, ErrorKind, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::async_trait;
use outbox_core::envelope::CloudEvents;
use outbox_core::publisher::{Answer, Delivery, Discipline, Origin, PublishError, PublishErrorKind, Publisher};
use rustix::io::Errno;

use super::lines::Lines;

/// Writes CloudEvents to standard output, one a line.
///
/// Delivered means: written; and synced, where standard output is a file.
#[derive(Debug, Default)]
pub struct Stdout {
    envelope: Mutex<Option<Arc<CloudEvents>>>,
}

impl Stdout {
    /// Standard output of this process.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Publisher for Stdout {
    fn describe(&self) -> String {
        "stdout".into()
    }

    fn discipline(&self) -> Discipline {
        Discipline { keeps_order: true, batch: 5000, calls: 1 }
    }

    async fn open(&self, origin: &Origin) -> Result<(), PublishError> {
        let envelope = Arc::new(CloudEvents::new(&origin.source));
        *self.envelope.lock().unwrap_or_else(PoisonError::into_inner) = Some(envelope);
        Ok(())
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let envelope = self.envelope.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(envelope) = envelope else {
            return Err(PublishError::new(PublishErrorKind::Misconfigured, "standard output was not opened"));
        };
        let mut lines = Lines::new(&envelope, batch);
        let mut memory = Vec::new();
        while let Some(piece) = lines.next_piece(memory) {
            memory = blocking(move || io::stdout().lock().write_all(&piece).map(|()| piece)).await?;
        }
        blocking(sync).await?;
        Ok(lines.into_answers())
    }
}

/// Writes away from the async threads: a reader may take as long as it likes.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, PublishError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => {
            PublishError::new(PublishErrorKind::Closed, "nobody reads standard output any more").caused_by(error)
        }
        _ => PublishError::new(PublishErrorKind::Unavailable, "standard output cannot be written").caused_by(error),
    })
}

fn sync() -> io::Result<()> {
    io::stdout().lock().flush()?;
    match rustix::fs::fdatasync(io::stdout()) {
        // A pipe or a terminal has nothing to sync.
        Ok(()) | Err(Errno::INVAL | Errno::ROFS | Errno::NOTSUP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
