//! Publishes to standard output as JSON Lines.

use std::fs;
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::{Arc, OnceLock};

use outbox_core::async_trait;
use outbox_core::envelope::CloudEvents;
use outbox_core::publisher::{Answer, Delivery, Discipline, Origin, PublishError, PublishErrorKind, Publisher};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::lines::{Lines, whole_lines};

/// Writes CloudEvents to standard output, one a line.
///
/// Delivered means: written; and synced, where standard output is a file. Of a file, a line that a crash tore off is
/// removed before the first batch, and a batch that fails is taken back.
///
/// Standard output that was closed before the program began is `/dev/null`, for Rust opens that in its place: events are
/// then delivered to nobody.
#[derive(Debug, Default)]
pub struct Stdout {
    envelope: OnceLock<CloudEvents>,
    /// `None` before the first batch and after a failure: then the tail is mended again.
    ///
    /// Whoever writes holds the lock until the write has returned, even when nobody waits for it any more.
    output: Arc<Mutex<Option<Output>>>,
}

impl Stdout {
    /// Standard output of this process.
    pub fn new() -> Self {
        Self::default()
    }

    async fn write(&self, lines: &mut Lines<'_>) -> io::Result<()> {
        let mut output = self.output.clone().lock_owned().await;
        output = blocking(output, Output::begin).await?;
        let mut memory = Vec::new();
        while let Some(piece) = lines.next_piece(memory) {
            let piece = Arc::new(piece);
            let written = piece.clone();
            output = blocking(output, move |output| output.append(&written)).await?;
            memory = Arc::into_inner(piece).unwrap_or_default();
        }
        blocking(output, Output::sync).await?;
        Ok(())
    }
}

#[async_trait]
impl Publisher for Stdout {
    fn describe(&self) -> String {
        "stdout".into()
    }

    fn discipline(&self) -> Discipline {
        Discipline { keeps_order: true, batch: 5000, calls: 1, checks: true }
    }

    async fn open(&self, origin: &Origin) -> Result<(), PublishError> {
        Output::of_this_process().map_err(|error| {
            let message = "standard output is closed or not writable; redirect it, or publish to file:PATH";
            PublishError::new(PublishErrorKind::Misconfigured, message).caused_by(error)
        })?;
        self.envelope.get_or_init(|| CloudEvents::new(&origin.source));
        Ok(())
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let Some(envelope) = self.envelope.get() else {
            return Err(PublishError::new(PublishErrorKind::Misconfigured, "standard output was not opened"));
        };
        let mut lines = Lines::new(envelope, batch);
        self.write(&mut lines).await.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => {
                PublishError::new(PublishErrorKind::Closed, "nobody reads standard output any more").caused_by(error)
            }
            _ => PublishError::new(PublishErrorKind::Unavailable, "standard output cannot be written").caused_by(error),
        })?;
        Ok(lines.into_answers())
    }
}

/// Writes away from the async threads, for a reader may take as long as it likes; after a failure begins anew.
async fn blocking(
    mut output: OwnedMutexGuard<Option<Output>>,
    work: impl FnOnce(Output) -> io::Result<Output> + Send + 'static,
) -> io::Result<OwnedMutexGuard<Option<Output>>> {
    let done = tokio::task::spawn_blocking(move || {
        *output = Some(work(output.take().map_or_else(Output::mended, Ok)?)?);
        Ok(output)
    });
    done.await.map_err(io::Error::other)?
}

/// Standard output past the buffer of `std`, which hides that nothing can be written.
#[derive(Debug)]
struct Output {
    file: fs::File,
    /// Where the batch begins in a regular file that grows at its end; only there a failure can be taken back.
    batch: Option<u64>,
    /// Bytes of the batch that were written.
    written: u64,
}

impl Output {
    fn of_this_process() -> io::Result<Self> {
        Self::new(fs::File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    fn new(file: fs::File) -> io::Result<Self> {
        match rustix::fs::fcntl_getfl(&file)? & OFlags::RWMODE {
            OFlags::WRONLY | OFlags::RDWR => Ok(Self { file, batch: None, written: 0 }),
            _ => Err(Errno::BADF.into()),
        }
    }

    fn mended() -> io::Result<Self> {
        let mut output = Self::of_this_process()?;
        output.mend()?;
        Ok(output)
    }

    /// Removes what follows the last line feed, where the file can be read.
    fn mend(&mut self) -> io::Result<()> {
        let Some(length) = self.end()? else {
            return Ok(());
        };
        // `>` and `>>` open for writing alone.
        let Ok(readable) = fs::File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd())) else {
            return Ok(());
        };
        let kept = whole_lines(&readable, length)?;
        if kept < length {
            tracing::warn!(bytes = length - kept, "removed a torn line from the end of standard output");
            self.cut(kept)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn begin(self) -> io::Result<Self> {
        Ok(Self { batch: self.end()?, written: 0, ..self })
    }

    fn append(mut self, piece: &[u8]) -> io::Result<Self> {
        match self.write(piece) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.undo(error)),
        }
    }

    fn write(&mut self, mut piece: &[u8]) -> io::Result<()> {
        // What the program prints itself comes before or after a piece, not inside.
        let mut printed = io::stdout().lock();
        printed.flush()?;
        while !piece.is_empty() {
            match self.file.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    piece = &piece[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(self) -> io::Result<Self> {
        match rustix::fs::fdatasync(&self.file) {
            // A pipe or a terminal has nothing to sync.
            Ok(()) | Err(Errno::INVAL | Errno::ROFS | Errno::NOTSUP) => Ok(self),
            Err(error) => Err(self.undo(error.into())),
        }
    }

    /// Takes back the batch, so that the next attempt does not repeat it; not where somebody else wrote to the file too.
    fn undo(mut self, error: io::Error) -> io::Error {
        if let Some(begin) = self.batch {
            let undone = match self.end() {
                Ok(Some(end)) if end == begin + self.written => self.cut(begin),
                Ok(_) => Err(io::Error::other("somebody else wrote to it")),
                Err(error) => Err(error),
            };
            if let Err(undo) = undone {
                tracing::warn!(error = %undo, "what was written before the failure could not be removed, some events repeat");
            }
        }
        error
    }

    /// The length of a regular file, where the next write goes to its end.
    fn end(&self) -> io::Result<Option<u64>> {
        let metadata = self.file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let length = metadata.len();
        let appends = rustix::fs::fcntl_getfl(&self.file)?.contains(OFlags::APPEND);
        Ok((appends || (&self.file).stream_position()? == length).then_some(length))
    }

    /// Shortens the file; without `O_APPEND` the next write would otherwise leave a hole.
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn output(append: bool) -> (tempfile::TempDir, std::path::PathBuf, Output) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        fs::write(&path, "{}\n{\"torn").unwrap();
        let mut file = OpenOptions::new().write(true).append(append).open(&path).unwrap();
        if !append {
            file.seek(SeekFrom::End(0)).unwrap();
        }
        (folder, path, Output::new(file).unwrap())
    }

    #[test]
    fn a_torn_tail_is_removed_and_a_failed_batch_taken_back() {
        for append in [true, false] {
            let (_folder, path, mut output) = output(append);
            output.mend().unwrap();
            let output = output.begin().unwrap().append(b"1\n").and_then(Output::sync).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"{}\n1\n");
            let again = Output::new(output.file.try_clone().unwrap()).unwrap();
            output.begin().unwrap().append(b"2\n3").unwrap().undo(ErrorKind::StorageFull.into());
            assert_eq!(fs::read(&path).unwrap(), b"{}\n1\n");
            again.begin().unwrap().append(b"2\n").and_then(Output::sync).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"{}\n1\n2\n");
        }
    }

    #[test]
    fn what_others_wrote_is_not_taken_back() {
        let (_folder, path, output) = output(true);
        let output = output.begin().unwrap().append(b"2\n").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"other\n").unwrap();
        output.undo(ErrorKind::StorageFull.into());
        assert_eq!(fs::read(&path).unwrap(), b"{}\n{\"torn2\nother\n");
    }

    #[test]
    fn a_file_that_is_written_over_is_not_cut() {
        let (_folder, path, mut output) = output(false);
        output.file.seek(SeekFrom::Start(0)).unwrap();
        output.mend().unwrap();
        output.begin().unwrap().append(b"[]").unwrap().undo(ErrorKind::StorageFull.into());
        assert_eq!(fs::read(&path).unwrap(), b"[]\n{\"torn");
    }
}
