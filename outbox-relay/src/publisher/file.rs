//! Publishes to a file as JSON Lines.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use outbox_core::async_trait;
use outbox_core::envelope::CloudEvents;
use outbox_core::publisher::{Answer, Delivery, Discipline, Origin, PublishError, PublishErrorKind, Publisher};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::lines::{Lines, whole_lines};

/// How long another relay may take to write a batch to the same file, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);

/// Appends CloudEvents to a file, one a line.
///
/// Delivered means: written and synced. A line that a crash tore off is removed when the file is opened, for it was never
/// acknowledged. A file that was moved away or removed, as log rotation does, is followed by a new one of the old name.
///
/// Several relays may write to one file: each batch is written under a lock of the file (`flock`), which the system gives back
/// when a process ends. One that is stopped in the midst of a batch holds the others up until it goes on or ends.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    envelope: OnceLock<CloudEvents>,
    /// `None` before the first batch and after a failure: then the file is opened, and its tail mended, again.
    ///
    /// Whoever writes holds the lock until the write has returned, even when nobody waits for it any more: a tail that is
    /// still being written is not mended.
    opened: Arc<Mutex<Option<Opened>>>,
}

impl File {
    /// The file at this path; it is created when the relay starts.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), envelope: OnceLock::new(), opened: Arc::default() }
    }

    fn error(&self, kind: PublishErrorKind, error: io::Error) -> PublishError {
        PublishError::new(kind, format!("file `{}` cannot be written", self.path.display())).caused_by(error)
    }

    /// Writes and syncs a batch; a failure leaves the file as it was before, as far as the disk allows.
    async fn write(&self, lines: &mut Lines<'_>) -> io::Result<()> {
        let path = self.path.clone();
        let mut file = self.opened.clone().lock_owned().await;
        let turn;
        (file, turn) = begin(file, path).await?;
        let mut memory = Vec::new();
        while let Some(piece) = lines.next_piece(memory) {
            let piece = Arc::new(piece);
            let (written, turn) = (piece.clone(), turn.clone());
            let append = move |file: Option<Opened>| {
                let _turn = turn;
                file.map(|file| file.append(&written)).transpose()
            };
            file = blocking(file, append).await?;
            memory = Arc::into_inner(piece).unwrap_or_default();
        }
        let sync = move |file: Option<Opened>| {
            let _turn = turn;
            file.map(Opened::sync).transpose()
        };
        blocking(file, sync).await?;
        Ok(())
    }
}

#[async_trait]
impl Publisher for File {
    fn describe(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn discipline(&self) -> Discipline {
        Discipline { keeps_order: true, batch: 5000, calls: 1, checks: true }
    }

    async fn open(&self, origin: &Origin) -> Result<(), PublishError> {
        let path = self.path.clone();
        let file = self.opened.clone().lock_owned().await;
        let opened = blocking(file, move |_| Opened::open(&path).map(Some)).await;
        opened.map_err(|error| {
            let passes = error.kind() == io::ErrorKind::TimedOut;
            self.error(if passes { PublishErrorKind::Unavailable } else { PublishErrorKind::Misconfigured }, error)
        })?;
        self.envelope.get_or_init(|| CloudEvents::new(&origin.source));
        Ok(())
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let Some(envelope) = self.envelope.get() else {
            return Err(PublishError::new(PublishErrorKind::Misconfigured, "the file was not opened"));
        };
        let mut lines = Lines::new(envelope, batch);
        self.write(&mut lines).await.map_err(|error| self.error(PublishErrorKind::Unavailable, error))?;
        Ok(lines.into_answers())
    }
}

/// Changes the file away from the async threads, and lets go of it where that fails.
async fn blocking(
    mut file: OwnedMutexGuard<Option<Opened>>,
    work: impl FnOnce(Option<Opened>) -> io::Result<Option<Opened>> + Send + 'static,
) -> io::Result<OwnedMutexGuard<Option<Opened>>> {
    let done = tokio::task::spawn_blocking(move || {
        *file = work(file.take())?;
        Ok(file)
    });
    done.await.map_err(io::Error::other)?
}

/// Waits for the turn to write to the file that the path leads to. Whoever holds a clone of it still writes.
async fn begin(
    mut file: OwnedMutexGuard<Option<Opened>>,
    path: PathBuf,
) -> io::Result<(OwnedMutexGuard<Option<Opened>>, Arc<Option<Turn>>)> {
    let begun = tokio::task::spawn_blocking(move || {
        let (opened, turn) = Opened::follow(file.take(), &path)?.begin()?;
        *file = Some(opened);
        Ok((file, Arc::new(turn)))
    });
    begun.await.map_err(io::Error::other)?
}

/// The right to change a file; given back when it is dropped.
#[derive(Debug)]
struct Turn(fs::File);

impl Turn {
    /// Waits for whoever writes at this moment; `None` on a file system that knows no locks, where nobody else may write.
    #[expect(clippy::disallowed_methods, reason = "the system has no lock that is waited for no longer than this")]
    fn wait(file: &fs::File) -> io::Result<Option<Self>> {
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file.try_clone()?))),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    let message = "another process writes to it and does not come to an end; is it stopped?";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing the last handle does it otherwise.
        let _ = self.0.unlock();
    }
}

/// An open file whose first `length` bytes are synced lines.
#[derive(Debug)]
struct Opened {
    file: fs::File,
    length: u64,
    /// Device and inode: whether the path still leads here.
    identity: (u64, u64),
    /// A device or a pipe has no tail to mend and nothing to sync.
    regular: bool,
}

impl Opened {
    /// Takes the turn to write, behind what others have written and without the line that one of them left torn.
    fn begin(mut self) -> io::Result<(Self, Option<Turn>)> {
        if !self.regular {
            return Ok((self, None));
        }
        let turn = Turn::wait(&self.file)?;
        let length = self.file.metadata()?.len();
        if length != self.length {
            self.length = length;
            self.mend()?;
        }
        Ok((self, turn))
    }

    fn open(path: &Path) -> io::Result<Self> {
        let existed = path.exists();
        let file = OpenOptions::new().append(true).create(true).read(true).open(path);
        // A pipe or a device may not be readable, and need not be.
        let file = file.or_else(|_| OpenOptions::new().append(true).create(true).open(path))?;
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        let mut opened = Self { file, length: metadata.len(), identity, regular: metadata.is_file() };
        if opened.regular {
            let _turn = Turn::wait(&opened.file)?;
            opened.length = opened.file.metadata()?.len();
            opened.mend()?;
        }
        if !existed && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(opened)
    }

    /// The file if the path still leads to it, else the one it leads to now.
    fn follow(file: Option<Self>, path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        match file {
            Some(file) if found == Some(file.identity) => Ok(file),
            _ => Self::open(path),
        }
    }

    /// Removes what follows the last line feed.
    fn mend(&mut self) -> io::Result<()> {
        let kept = whole_lines(&self.file, self.length)?;
        if kept < self.length {
            tracing::warn!(bytes = self.length - kept, "removed a torn line from the end of the file");
            self.file.set_len(kept)?;
            self.file.sync_all()?;
            self.length = kept;
        }
        Ok(())
    }

    fn append(mut self, piece: &[u8]) -> io::Result<Self> {
        match self.file.write_all(piece) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.undo(error)),
        }
    }

    fn sync(self) -> io::Result<Self> {
        if !self.regular {
            return Ok(self);
        }
        match self.file.sync_data() {
            Ok(()) => Ok(Self { length: self.file.metadata()?.len(), ..self }),
            Err(error) => Err(self.undo(error)),
        }
    }

    /// Takes back what was written since the last sync, so that the next attempt does not repeat it.
    fn undo(self, error: io::Error) -> io::Error {
        if self.regular
            && let Err(undo) = self.file.set_len(self.length)
        {
            tracing::warn!(error = %undo, "what was written before the failure could not be removed, some events repeat");
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(content: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        fs::write(&path, content).unwrap();
        Opened::open(&path).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn a_torn_tail_is_removed_and_nothing_else() {
        assert_eq!(mended(b""), b"");
        assert_eq!(mended(b"{}\n"), b"{}\n");
        assert_eq!(mended(b"{}\n{\"torn"), b"{}\n");
        assert_eq!(mended(b"torn"), b"");
        let long = [b"{}\n".to_vec(), vec![b'x'; 20_000]].concat();
        assert_eq!(mended(&long), b"{}\n");
    }

    #[test]
    fn what_another_has_written_is_not_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let ours = Opened::open(&path).unwrap();
        let (theirs, turn) = Opened::open(&path).unwrap().begin().unwrap();
        let half = theirs.append(b"{\"of\":\"another\"}\n").and_then(Opened::sync).unwrap().append(b"{\"torn").unwrap();
        assert!(matches!(ours.file.try_lock(), Err(TryLockError::WouldBlock)), "one writes at a time");
        drop((half, turn));
        let (ours, _turn) = ours.begin().unwrap();
        let ours = ours.append(b"{\"of\":\"this one\"}\n").unwrap();
        ours.undo(io::Error::other("the disk is full"));
        assert_eq!(fs::read(&path).unwrap(), b"{\"of\":\"another\"}\n");
    }

    #[test]
    fn a_moved_file_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let first = Opened::open(&path).unwrap().append(b"1\n").and_then(Opened::sync).unwrap();
        fs::rename(&path, folder.path().join("out.jsonl.1")).unwrap();
        Opened::follow(Some(first), &path).unwrap().append(b"2\n").and_then(Opened::sync).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        assert_eq!(fs::read(folder.path().join("out.jsonl.1")).unwrap(), b"1\n");
    }
}
