//! The relay's program ended at each of its failpoints, on each database, and what comes out in the end.
//!
//! Each case has a database of its own with a few keys whose counters rise. A process is started that ends at the failpoint,
//! once it has passed it so many times: a relay, or what an operator calls beside one that lives on. Some points are reached
//! only on an [`Occasion`], which the case brings about. Then more is written, a relay without a failpoint drains the rest,
//! letters that will not pass are decided about, and the oracle judges the one file that all relays wrote.

mod case;
mod occasion;
mod shop;

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use outbox_relay::failpoint::Failpoint;
use rustix::process::Signal;
use tokio::process::Child;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::case::Case;
use self::occasion::Occasion;
use crate::conformance::waiting::between_looks;
use crate::oracle::{Findings, Truth};
use crate::output;
use crate::relay_process::signal;
use crate::verdict::Verdict;

pub use self::shop::Kind;

/// How many events may be in flight when a relay ends.
const WINDOW: u64 = 40;

/// So many cases are under way together.
const TOGETHER: usize = 6;

/// So often every counter is raised before a process is started that is to end.
const ROUNDS: u32 = 10;

/// So often a case is tried whose process may come to its end without waiting.
const TRIALS: u32 = 20;

/// The variable that says where a process ends.
const FAILPOINT: &str = "OUTBOX_FAILPOINT";

/// Ends a process at each failpoint, `times` times each, a little later each time.
///
/// # Errors
///
/// When a process does not come to its failpoint, or the rest cannot be published.
pub async fn kill_matrix(kind: Kind, times: u32) -> Result<Verdict> {
    let start = Instant::now();
    let occasions = |place| Occasion::of(place).iter().map(move |occasion| (place, *occasion));
    let ways = Failpoint::ALL.into_iter().flat_map(occasions).filter(|(place, way)| way.leads_to(*place, kind));
    let cases: Vec<_> = ways.flat_map(|way| (1..=times).map(move |pass| (way, pass))).collect();
    let faults = cases.len() as u64;
    let judged = stream::iter(cases).map(|((place, occasion), pass)| async move {
        let what = || format!("{} by {occasion:?} on its pass {pass}", place.name());
        for _ in 0..TRIALS {
            if let Some(findings) = case(kind, place, occasion, pass).await.with_context(what)? {
                return Ok((what(), findings));
            }
        }
        bail!("{}: the process never waits so often", what())
    });
    let judged: Vec<(String, Findings)> = judged.buffer_unordered(TOGETHER).try_collect().await?;
    let (mut findings, mut notes) =
        (Findings::default(), vec![format!("failpoints={} each={times}", faults / u64::from(times))]);
    for (what, each) in &judged {
        findings.add(each);
        if !each.is_clean(2 * WINDOW) {
            notes.push(format!("{what}: {each} {:?}", each.examples));
        }
    }
    Ok(Verdict {
        name: match kind {
            Kind::Postgres => "kill matrix: relays and commands ended at each failpoint, on PostgreSQL",
            Kind::Sqlite => "kill matrix: relays and commands ended at each failpoint, on SQLite",
        },
        faults,
        survived: judged.iter().filter(|(_, each)| each.is_clean(2 * WINDOW)).count() as u64,
        findings,
        bound: faults * WINDOW,
        seed: 0,
        wall: start.elapsed(),
        notes,
    })
}

/// One process ended once; nothing where it came to its end without waiting so often, because an answer was there at once.
async fn case(kind: Kind, place: Failpoint, occasion: Occasion, pass: u32) -> Result<Option<Findings>> {
    let case = Case::open(kind, occasion).await?;
    let findings = played(&case, place, pass).await;
    // A database goes after a checkpoint of its server: nobody else is to wait for that.
    spawn_blocking(move || drop(case)).await?;
    findings
}

async fn played(case: &Case, place: Failpoint, pass: u32) -> Result<Option<Findings>> {
    let occasion = case.occasion;
    if occasion == Occasion::OtherNumber {
        case.finish(case.relay(&["--partitions", "2", "--until-empty"])?.spawn()?).await?;
    }
    case.shop.write(ROUNDS).await?;
    if occasion.is_poisoned() {
        case.shop.tear().await?;
    }
    let armed = format!("{}:{}", place.name(), occasion.passes(place, pass));
    let ended =
        if occasion.is_operators() { end_a_command(case, &armed).await? } else { end_a_relay(case, &armed).await? };
    if ended.success() && matches!(place, Failpoint::DecisionSent | Failpoint::PageSent) {
        return Ok(None);
    }
    ensure!(ended.signal() == Some(9), "the process ended with {ended} before it came there: …{}", case.log());
    case.shop.write(5).await?;
    case.drain().await?;
    judge(case).await.map(Some)
}

/// Starts a relay and brings it to its end.
async fn end_a_relay(case: &Case, armed: &str) -> Result<ExitStatus> {
    let partitions = case.occasion.partitions();
    let mut doomed = case.relay(partitions)?.env(FAILPOINT, armed).spawn()?;
    let (mut second, mut stopped) = (None, false);
    let ended = loop {
        // What is in an archive before it is removed must have been read by those that live.
        if case.occasion != Occasion::Overfull {
            case.shop.write(2).await?;
        }
        if let Ok(ended) = timeout(Duration::from_millis(100), doomed.wait()).await {
            break ended?;
        }
        match case.occasion {
            // Once: a second signal ends it at once.
            Occasion::Stop if !stopped && case.has_published() => {
                signal(&doomed, Signal::TERM)?;
                stopped = true;
            }
            Occasion::SecondRelay if second.is_none() && case.has_published() => {
                second = Some(case.relay(partitions)?.env("OUTBOX_RELAY_NAME", "second").spawn()?);
            }
            Occasion::Requeueing => tear_and_mend(case).await?,
            _ => {}
        }
        case.must_come()?;
    };
    if let Some(second) = second {
        stop(case, second).await?;
    }
    Ok(ended)
}

/// Mends what is parked; where nothing is, tears two events, so that the second fails behind the first.
async fn tear_and_mend(case: &Case) -> Result<()> {
    if case.shop.is_parked().await? {
        return case.finish(case.operator().await?.spawn()?).await;
    }
    if !case.shop.has_letters().await? {
        case.shop.tear().await?;
        case.shop.tear().await?;
    }
    Ok(())
}

/// Calls what an operator calls, beside a relay at work, and brings it to its end; a replay is called once more.
async fn end_a_command(case: &Case, armed: &str) -> Result<ExitStatus> {
    let relay = case.relay(&[])?.spawn()?;
    let is_replay = case.occasion == Occasion::Replay;
    let is_time =
        async || if is_replay { case.shop.has_passed(ROUNDS.into()).await } else { case.shop.is_parked().await };
    while !is_time().await? {
        case.must_come()?;
        case.shop.write(1).await?;
        between_looks().await;
    }
    let doomed = case.operator().await?.env(FAILPOINT, armed).spawn()?;
    let ended = case.ended(doomed).await?;
    if is_replay {
        case.finish(case.operator().await?.spawn()?).await?;
    }
    case.shop.write(2).await?;
    stop(case, relay).await?;
    Ok(ended)
}

async fn stop(case: &Case, relay: Child) -> Result<()> {
    signal(&relay, Signal::TERM)?;
    case.finish(relay).await
}

/// What the oracle says; letters must have come to an end, and replays are as many as were asked for at most.
async fn judge(case: &Case) -> Result<Findings> {
    ensure!(!case.shop.has_letters().await?, "letters are left: …{}", case.log());
    let truth = case.shop.truth().await?;
    let findings = output::read(&case.output())?.judge(&truth);
    let wanted = if case.occasion == Occasion::Replay { 1..=2 * truth.events() } else { 0..=0 };
    ensure!(wanted.contains(&findings.replayed), "{} events are marked as replays", findings.replayed);
    if case.occasion == Occasion::Overfull {
        must_be_kept(case, &truth).await?;
    }
    Ok(findings)
}

/// Everything is in the log, or in an archive, also after further passes.
async fn must_be_kept(case: &Case, truth: &Truth) -> Result<()> {
    for _ in 0..3 {
        case.call("cleanup", &[]).await?;
    }
    let mut kept = case.shop.log().await?;
    let mut archives = 0;
    for file in std::fs::read_dir(case.archive())? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            archives += 1;
            let text = std::fs::read_to_string(&path)?;
            kept.extend(text.lines().filter_map(output::sighting).map(|each| (each.key, each.version)));
        }
    }
    let all = truth.counters.iter().flat_map(|(key, last)| (1..=*last).map(|version| (key.clone(), version)));
    let gone: HashSet<_> = all.filter(|version| !kept.contains(version)).collect();
    ensure!(gone.is_empty() && archives > 0, "{gone:?} are neither in the log nor in one of {archives} archives");
    Ok(())
}
