//! A time of day that a test moves under a program, by libfaketime; what counts seconds only goes on as it is.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{apt, fetched};

/// The time of day of the programs that are started with its [variables](MovedClock::variables).
#[derive(Clone, Debug)]
pub struct MovedClock {
    library: PathBuf,
    /// Says by how much the clock is wrong; read again within a second.
    file: PathBuf,
}

impl MovedClock {
    /// A clock that is right so far, moved by a file in this folder.
    ///
    /// # Errors
    ///
    /// When libfaketime is neither installed nor to be had.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let clock = Self { library: library()?, file: folder.join("clock") };
        clock.set(0)?;
        Ok(clock)
    }

    /// What a program must be started with.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets it ahead by so many seconds, or back.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // Moved into its place, for a program may read it at any moment.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n"))?;
        fs::rename(&new, &self.file).with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

fn library() -> Result<PathBuf> {
    // Where Debian and its relatives install it.
    let below = format!("usr/lib/{ARCH}-linux-gnu/faketime/libfaketime.so.1");
    let installed = Path::new("/").join(&below);
    if installed.is_file() {
        return Ok(installed);
    }
    let root = fetched::folder("faketime", |unpacked| {
        eprintln!("libfaketime is not installed: fetching the distribution's package");
        apt::unpack("libfaketime", unpacked).context("libfaketime cannot be fetched here: install it (`libfaketime`)")
    })?;
    Some(root.join(below)).filter(|path| path.is_file()).context("the package brought no libfaketime.so.1")
}
