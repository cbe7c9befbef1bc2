//! Processor time, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What `/proc/<pid>/stat` says of one process.
struct Stat {
    parent: u32,
    /// Its own time, of all its threads.
    own: u64,
    /// The time of the children it has waited for.
    children: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, with whatever characters it has.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            own: number(11)? + number(12)?,
            children: number(13)? + number(14)?,
        })
    }
}

/// The processor time of one process so far.
pub(crate) fn of_process(pid: u32) -> Result<Duration> {
    let stat = Stat::read(pid).with_context(|| format!("process {pid} is gone"))?;
    Ok(time(stat.own))
}

/// The processor time of a server so far: its first process, those it has started, and those of them that have ended.
pub(crate) fn of_server(postmaster: u32) -> Result<Duration> {
    let first = Stat::read(postmaster).context("the server is gone")?;
    let running = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?))
        .filter(|stat| stat.parent == postmaster);
    Ok(time(first.own + first.children + running.map(|stat| stat.own).sum::<u64>()))
}

/// The process that started `pid`.
pub(crate) fn parent(pid: u32) -> Result<u32> {
    Ok(Stat::read(pid).with_context(|| format!("process {pid} is gone"))?.parent)
}

fn time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_shows_in_the_process_and_in_the_children_of_its_parent() {
        let parent = parent(process::id()).unwrap();
        let before = (of_process(process::id()).unwrap(), of_server(parent).unwrap());
        let start = Instant::now();
        while of_process(process::id()).unwrap() < before.0 + Duration::from_millis(50) {
            black_box((0..10_000).sum::<u64>());
            assert!(start.elapsed() < Duration::from_mins(1), "no processor time was counted");
        }
        assert!(of_server(parent).unwrap() >= before.1 + Duration::from_millis(30));
    }
}
