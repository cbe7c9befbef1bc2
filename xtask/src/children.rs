//! Child processes that are waited for through ctrl-c and SIGTERM, so that the servers are stopped after them.

use std::ffi::OsStr;
use std::io;
use std::iter;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How soon a child's end or a signal is noticed.
const TICK: Duration = Duration::from_millis(20);

/// Runs children one at a time and ends them when this process is asked to end.
pub(crate) struct Children {
    interrupted: Arc<AtomicBool>,
    asked_to_end: Arc<AtomicBool>,
}

impl Children {
    /// Takes over the signals that would end this process.
    pub(crate) fn watching_signals() -> Result<Self> {
        let children = Self { interrupted: Arc::default(), asked_to_end: Arc::default() };
        signal_hook::flag::register(SIGINT, Arc::clone(&children.interrupted))?;
        signal_hook::flag::register(SIGTERM, Arc::clone(&children.asked_to_end))?;
        signal_hook::flag::register(SIGHUP, Arc::clone(&children.asked_to_end))?;
        Ok(children)
    }

    /// Runs a program to its end, however it ends.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or a signal came: then nothing more shall be run.
    pub(crate) fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        self.stop_if_signalled()?;
        let child =
            command.spawn().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let status = self.wait(child)?;
        self.stop_if_signalled()?;
        Ok(status)
    }

    /// Runs a program that must succeed.
    ///
    /// # Errors
    ///
    /// As [`Children::run`], and when the program fails.
    pub(crate) fn must(&self, command: &mut Command) -> Result<()> {
        let status = self.run(command)?;
        ensure!(status.success(), "{} failed ({status})", shown(command));
        Ok(())
    }

    /// The standard output of a program that must succeed.
    ///
    /// # Errors
    ///
    /// As [`Children::must`].
    pub(crate) fn output(&self, command: &mut Command) -> Result<String> {
        self.stop_if_signalled()?;
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let mut stdout = child.stdout.take().context("the child has no standard output")?;
        // Read aside: a child whose pipe is full would never end.
        let reader = thread::spawn(move || io::read_to_string(&mut stdout));
        let status = self.wait(child)?;
        let output = reader.join().map_err(|_| anyhow!("reading the child's output panicked"))??;
        self.stop_if_signalled()?;
        ensure!(status.success(), "{} failed ({status})", shown(command));
        Ok(output)
    }

    #[expect(clippy::disallowed_methods, reason = "either the child ends or a signal comes, and both are looked at")]
    fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let mut told = false;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            // Ctrl-c reaches the child by itself, through the terminal; a second signal would make it leave in haste.
            if self.asked_to_end.load(Ordering::Relaxed) && !told {
                told = true;
                kill_process(Pid::from_child(&child), Signal::TERM)?;
            }
            thread::sleep(TICK);
        }
    }

    /// Fails once a signal has asked this process to end.
    pub(crate) fn stop_if_signalled(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) || self.asked_to_end.load(Ordering::Relaxed) {
            bail!("ended by a signal; the servers are stopped");
        }
        Ok(())
    }
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// The exit code a child's end gives to this process.
pub(crate) fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
