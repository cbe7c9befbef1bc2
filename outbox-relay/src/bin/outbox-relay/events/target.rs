//! Where an export goes: standard output, or a file that appears whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile};

use super::database_file::is_part_of;
use crate::printable::printable;

/// Where an export goes.
pub(crate) enum Target {
    /// Standard output, or something that is no file, such as a named pipe; with what it is called.
    Stream(File, String),
    /// A file under another name beside its place, which takes its name when all is written.
    File(NamedTempFile, PathBuf),
}

impl Target {
    /// Standard output past the buffer of `std`, which hides that nothing can be written.
    ///
    /// # Errors
    ///
    /// That it cannot be written, and what to do instead.
    pub(crate) fn stdout() -> Result<Self, String> {
        let open = || {
            let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            let is_writable = rustix::fs::fcntl_getfl(&stdout)?.intersects(OFlags::WRONLY | OFlags::RDWR);
            Ok::<_, io::Error>(is_writable.then_some(stdout))
        };
        match open() {
            Ok(Some(stdout)) => Ok(Self::Stream(stdout, "standard output".to_owned())),
            _ => Err("standard output is closed or not writable; redirect it, or write --output FILE".to_owned()),
        }
    }

    /// Makes ready to write, so that a target that cannot be written is found before anything is read. The file of the
    /// database that is exported, where it is one, is none to write to.
    ///
    /// # Errors
    ///
    /// What is wrong with the path and what to write instead.
    pub(crate) fn open(path: &str, database: Option<&Path>) -> Result<Self, String> {
        if database.is_some_and(|database| is_part_of(Path::new(path), database)) {
            return Err(format!("cannot write `{path}`: it is the database that is exported; name another file"));
        }
        // The file behind a link is replaced, not the link.
        let place = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        Self::at(place).map_err(|error| {
            format!("cannot write `{path}`: {error}; name a file that may be written, in a folder that may")
        })
    }

    fn at(place: PathBuf) -> io::Result<Self> {
        match fs::metadata(&place) {
            Ok(there) if there.is_dir() => Err(io::Error::other("it is a folder")),
            // The superuser may write such a file all the same, but whoever made it read-only meant something by it.
            Ok(there) if there.permissions().readonly() => Err(io::Error::other("it is read-only")),
            Ok(there) if there.is_file() => {
                OpenOptions::new().append(true).open(&place)?;
                let temporary = beside(&place)?;
                temporary.as_file().set_permissions(there.permissions())?;
                Ok(Self::File(temporary, place))
            }
            Ok(_) => {
                let stream = OpenOptions::new().write(true).open(&place)?;
                Ok(Self::Stream(stream, place.to_string_lossy().into_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(beside(&place)?, place)),
            Err(error) => Err(error),
        }
    }

    /// Where it leads, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Stream(_, name) => printable(name).into_owned(),
            Self::File(_, path) => printable(&path.to_string_lossy()).into_owned(),
        }
    }

    /// Makes what was written durable, and gives a file its name.
    pub(crate) fn commit(self) -> io::Result<()> {
        match self {
            Self::Stream(stream, _) => sync(&stream),
            Self::File(temporary, path) => {
                temporary.as_file().sync_all()?;
                temporary.persist(&path)?;
                File::open(folder(&path))?.sync_all()
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream, _) => stream.write(bytes),
            Self::File(temporary, _) => temporary.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream, _) => stream.flush(),
            Self::File(temporary, _) => temporary.flush(),
        }
    }
}

/// A file that is hidden, has the permissions of any new file, and is removed when it gets no other name.
fn beside(place: &Path) -> io::Result<NamedTempFile> {
    place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Builder::new().prefix(".outbox-export-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder(place))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs what can be synced: a pipe and a terminal cannot.
fn sync(output: &File) -> io::Result<()> {
    match rustix::fs::fsync(output) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::ROFS) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
