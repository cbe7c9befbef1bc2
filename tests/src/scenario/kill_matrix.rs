//! The relay's program ended at each of its failpoints, on each database, and what comes out in the end.
//!
//! Each case has a database of its own with a few keys whose counters rise. A relay is started that ends at the failpoint,
//! once it has passed it so many times; some points are reached only by a stop, a second relay, another number of
//! partitions or a log to be cleaned, which the case brings about. Then more is written, a relay without a failpoint drains
//! the rest, and the oracle judges the one file that all of them wrote.

mod shop;

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use outbox_relay::failpoint::Failpoint;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use self::shop::Shop;
use crate::oracle::{Findings, Truth};
use crate::output;
use crate::relay_process::program;
use crate::verdict::Verdict;

pub use self::shop::Kind;

/// How many events may be in flight when a relay ends.
const WINDOW: u64 = 40;

/// So many cases are under way together.
const TOGETHER: usize = 6;

/// How long a relay may take to come to a failpoint, or to its end.
const PATIENCE: Duration = Duration::from_secs(40);

/// What must happen before a relay comes to a failpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Work,
    Stop,
    SecondRelay,
    OtherNumber,
    Cleanup,
}

fn occasion(place: Failpoint) -> Occasion {
    use Failpoint as P;
    match place {
        P::BeforeRelease | P::LeaseReleased | P::StopBegun | P::StopSettled => Occasion::Stop,
        P::HandOverBegun | P::HandOverSettled | P::HandedOver => Occasion::SecondRelay,
        P::BeforeRepartition | P::Repartitioned => Occasion::OtherNumber,
        P::BeforeTurn | P::Turned | P::BeforeEmptying | P::EmptyingSent | P::Emptied => Occasion::Cleanup,
        _ => Occasion::Work,
    }
}

/// Whether a relay comes there at all: on a file there is one segment, and one relay works all partitions.
fn is_reached(place: Failpoint, kind: Kind) -> bool {
    let segments = matches!(place, Failpoint::BeforeTurn | Failpoint::Turned);
    kind == Kind::Postgres || !(segments || occasion(place) == Occasion::SecondRelay)
}

/// Ends a relay at each failpoint, `times` times each, a little later each time.
///
/// # Errors
///
/// When a relay does not come to its failpoint, or the rest cannot be published.
pub async fn kill_matrix(kind: Kind, times: u32) -> Result<Verdict> {
    let start = Instant::now();
    let places = Failpoint::ALL.into_iter().filter(|place| is_reached(*place, kind));
    let cases: Vec<_> = places.flat_map(|place| (1..=times).map(move |pass| (place, pass))).collect();
    let faults = cases.len() as u64;
    let judged = stream::iter(cases).map(|(place, pass)| async move {
        case(kind, place, pass).await.with_context(|| format!("{} on its pass {pass}", place.name()))
    });
    let judged: Vec<Findings> = judged.buffer_unordered(TOGETHER).try_collect().await?;
    let mut findings = Findings::default();
    for each in &judged {
        findings.add(each);
        findings.examples.extend(each.examples.iter().cloned());
    }
    Ok(Verdict {
        name: match kind {
            Kind::Postgres => "kill matrix: the relay ended at each failpoint, on PostgreSQL",
            Kind::Sqlite => "kill matrix: the relay ended at each failpoint, on SQLite",
        },
        faults,
        survived: judged.iter().filter(|each| each.is_clean(2 * WINDOW)).count() as u64,
        findings,
        bound: faults * WINDOW,
        seed: 0,
        wall: start.elapsed(),
        notes: vec![format!("failpoints={} each={times}", faults / u64::from(times))],
    })
}

/// One relay ended once.
async fn case(kind: Kind, place: Failpoint, pass: u32) -> Result<Findings> {
    let folder = tempfile::tempdir()?;
    let shop = Shop::open(kind, folder.path()).await?;
    let case = Case { folder, url: shop.url().to_owned() };
    case.finish(case.command("migrate")?.args(segments(kind)).spawn()?).await?;
    let occasion = occasion(place);
    if occasion == Occasion::OtherNumber {
        case.finish(case.run(&["--partitions", "2", "--until-empty"])?.spawn()?).await?;
    }
    shop.write(10).await?;
    let mut doomed = case.run(partitions(occasion))?;
    doomed.env("OUTBOX_FAILPOINT", format!("{}:{}", place.name(), passes(place, pass)));
    let mut doomed = doomed.spawn()?;
    let (mut second, mut stopped) = (None, false);
    let ended = loop {
        shop.write(2).await?;
        if let Ok(ended) = timeout(Duration::from_millis(100), doomed.wait()).await {
            break ended?;
        }
        match occasion {
            // Once: a second signal ends it at once.
            Occasion::Stop if !stopped && case.published() => {
                signal(&doomed, Signal::TERM)?;
                stopped = true;
            }
            Occasion::SecondRelay if second.is_none() && case.published() => {
                second = Some(case.run(partitions(occasion))?.env("OUTBOX_RELAY_NAME", "second").spawn()?);
            }
            _ => {}
        }
        ensure!(case.age() < PATIENCE, "the relay does not come there: …{}", case.log());
    };
    ensure!(ended.signal() == Some(9), "the relay ended with {ended} before it came there: …{}", case.log());
    if let Some(second) = second {
        signal(&second, Signal::TERM)?;
        case.finish(second).await?;
    }
    let truth = shop.write(5).await?;
    case.finish(case.run(&["--until-empty"])?.spawn()?).await?;
    Ok(output::read(&case.output())?.judge(&truth))
}

/// How often the place is passed before the end: those that come with every event a little later each time.
fn passes(place: Failpoint, pass: u32) -> u32 {
    if occasion(place) == Occasion::Work && place != Failpoint::LeaseAcquired { 1 + 2 * (pass - 1) } else { 1 }
}

fn segments(kind: Kind) -> &'static [&'static str] {
    if kind == Kind::Postgres { &["--segments", "3"] } else { &[] }
}

fn partitions(occasion: Occasion) -> &'static [&'static str] {
    match occasion {
        Occasion::SecondRelay | Occasion::OtherNumber => &["--partitions", "4"],
        _ => &[],
    }
}

fn signal(process: &Child, signal: Signal) -> Result<()> {
    match process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        Some(id) => kill_process(id, signal).context("the relay cannot be told"),
        None => Ok(()),
    }
}

/// Where one case happens.
struct Case {
    folder: TempDir,
    url: String,
}

impl Case {
    fn output(&self) -> PathBuf {
        self.folder.path().join("events.jsonl")
    }

    fn run(&self, more: &[&str]) -> Result<Command> {
        let mut command = self.command("run")?;
        command.arg("--publisher").arg(format!("file:{}", self.output().display()));
        command.args(["--window-events", &WINDOW.to_string(), "--lease", "1s", "--timeout", "30s"]).args(more);
        // What everybody has passed goes at the next look.
        command.env("OUTBOX_RETENTION_KEEP", "0s");
        Ok(command)
    }

    fn command(&self, name: &str) -> Result<Command> {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("relay.log"))?;
        let mut command = Command::new(program());
        command.args([name, "--database-url", &self.url]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    async fn finish(&self, mut process: Child) -> Result<()> {
        let ended: ExitStatus = match timeout(PATIENCE, process.wait()).await {
            Ok(ended) => ended?,
            Err(_) => bail!("the relay does not end: …{}", self.log()),
        };
        ensure!(ended.success(), "the relay ended with {ended}: …{}", self.log());
        Ok(())
    }

    /// Whether something has come out.
    fn published(&self) -> bool {
        std::fs::metadata(self.output()).is_ok_and(|file| file.len() > 0)
    }

    fn age(&self) -> Duration {
        let made = std::fs::metadata(self.folder.path()).and_then(|folder| folder.created());
        made.ok().and_then(|made| made.elapsed().ok()).unwrap_or_default()
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("relay.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

/// The counters of a shop as the oracle wants them.
fn truth(counters: HashMap<String, u64>) -> Truth {
    let positions = counters.values().sum();
    Truth { counters, positions }
}

/// The folder a shop on a file lies in.
fn file(folder: &Path) -> PathBuf {
    folder.join("shop.db")
}
