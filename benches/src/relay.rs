//! The relay's program as a child of a bench.

use std::fs;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::server::Server;

/// How often its memory is looked at; the kernel keeps the peak, so only the last moment counts.
const LOOK: Duration = Duration::from_millis(2);

/// A running relay, killed when it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts `outbox-relay run` on a database with further flags.
    pub(crate) fn run<'a>(server: &Server, url: &str, flags: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        Self::start(server, url, flags, Stdio::null())
    }

    /// Starts it with its standard output as publisher; what comes out of that.
    pub(crate) fn run_to_pipe<'a>(
        server: &Server,
        url: &str,
        flags: impl IntoIterator<Item = &'a str>,
    ) -> Result<(Self, ChildStdout)> {
        let mut program = Self::start(server, url, ["--publisher", "stdout"].into_iter().chain(flags), Stdio::piped())?;
        let output = program.0.stdout.take().context("the relay has no standard output")?;
        Ok((program, output))
    }

    fn start<'a>(server: &Server, url: &str, flags: impl IntoIterator<Item = &'a str>, output: Stdio) -> Result<Self> {
        let mut command = Command::new(server.relay());
        // Settings of whoever runs the bench must not reach it.
        command.env_clear().stdin(Stdio::null()).stdout(output);
        command.args(["run", "--quiet", "--database-url", url]).args(flags);
        let child = command.spawn().with_context(|| format!("{} cannot be started", server.relay().display()))?;
        Ok(Self(child))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The most memory it has held so far, in bytes; `None` once it has ended.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0)
    }

    /// Waits for its end; its peak of memory.
    pub(crate) async fn peak_memory_at_end(mut self) -> Result<f64> {
        let mut peak = 0.0;
        loop {
            peak = self.peak_memory().unwrap_or(peak);
            if let Some(status) = self.0.try_wait()? {
                return succeeded(status).map(|()| peak);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks it to end and waits.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?).context("the relay has no process")?;
        kill_process(pid, Signal::TERM)?;
        for _ in 0..10_000 {
            if let Some(status) = self.0.try_wait()? {
                return succeeded(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the relay does not end after SIGTERM")
    }
}

fn succeeded(status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "the relay failed: {status}");
    Ok(())
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
