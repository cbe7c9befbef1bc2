//! A disk that is full at a word, and empty again at another.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// What fills the disk.
const FILLER: &str = "filler";

/// A file system in memory with a folder to mount it on, gone with this value.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many megabytes.
    ///
    /// # Errors
    ///
    /// When the system lets nobody but an administrator mount one: a test that needs a full disk never passes without.
    pub fn new(megabytes: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("outbox-disk-").tempdir()?;
        let options = std::ffi::CString::new(format!("size={megabytes}m,mode=0777"))?;
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), options.as_c_str()).with_context(|| {
            format!(
                "a small disk cannot be mounted on {}; run the tests as root, or with CAP_SYS_ADMIN",
                folder.path().display()
            )
        })?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join(FILLER)
    }

    /// Takes all the room there is, and again what has been given up since.
    ///
    /// # Errors
    ///
    /// When something else fails.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        // Large pieces first, for speed, then whatever still fits.
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0; size];
            loop {
                match file.write_all(&piece) {
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    written => written?,
                }
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    ///
    /// When the disk is not full.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("the disk was not full")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it until it closes it.
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_not_one_byte_more_and_a_free_one_does() {
        let disk = SmallDisk::new(1).unwrap();
        let write = || fs::write(disk.path().join("x"), "x");
        write().unwrap();
        disk.fill().unwrap();
        assert_eq!(fs::write(disk.path().join("y"), "y").unwrap_err().kind(), ErrorKind::StorageFull);
        disk.free().unwrap();
        write().unwrap();
    }
}
