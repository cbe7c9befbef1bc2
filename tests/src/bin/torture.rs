//! The long form of the tests, called by `cargo xtask torture`.
//!
//! Fifteen parts, all but the last on private servers: the controls, which must fail, or else the run is void; 200,000 events;
//! 200 kills of the relay; 50 crashes of the server; 500 more while no commit waits for the disk; 1,000 emptyings of segments;
//! 25 ends at each failpoint; 300 pauses of three relays that share 32 partitions; 500 faults of the network; 1,000 answers
//! that are cut off; 10,000 commands of operators; 20,000 times that a relay falls asleep, with controls of its own; 20 full
//! disks of each kind; 50 ends of a relay of each earlier revision or of the new one beside it; 100,000 seeds of the
//! simulation, whose controls are its mutants. Each adds its line to the report.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use outbox_simulation::{Campaign, Single, hunt, seeds, sweep};
use outbox_tests::database::Database;
use outbox_tests::load::LoadOptions;
use outbox_tests::scenario::wake::{Outcome, Protocol, Race};
use outbox_tests::scenario::{self, Kind, Plan};
use outbox_tests::small_disk::SmallDisk;
use outbox_tests::verdict::{Verdict, circumstances};
use tempfile::TempDir;
use xtask::EARLIER_VARIABLE;
use xtask::postgres::{Cluster, ClusterOptions};

/// How soon after the server accepts connections the relay publishes again.
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);

/// How long a writer may wait for maintenance.
const WAIT_AT_MOST: Duration = Duration::from_millis(50);

/// How soon each partition has another relay after one was stopped: twice the length of a lease.
const OWNED_WITHIN: Duration = Duration::from_secs(2);

/// How soon the relay publishes again after the network carries again.
const CARRIED_WITHIN: Duration = Duration::from_secs(5);

/// How soon the relay publishes again after a full disk has room again, and the server with it.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// The large transactions of the parts that kill and restart, larger than any batch.
///
/// While one is open, each restart of the relay takes its session for a possible owner of every hole known by then; with one
/// that is open for a minute of restarts the holes reach their cap, and the frontier rightly stands still.
const BULK_UNDER_FAULTS: u32 = 10_000;

/// About how long the emptyings of the cleanup take, and so how long it is looked before what inserts take without.
const EMPTYING: Duration = Duration::from_mins(5);

/// So many relays fall asleep beside one another.
const LANES: usize = 8;

/// So many seeds of the simulation are run, and so many of them between two looks at the time.
const SEEDS: u64 = 100_000;
const SEEDS_AT_ONCE: usize = 1_000;

/// Every mutant of the simulation is found by then.
const MUTANTS_WITHIN: u64 = 10_000;

/// What one part may take where nobody says how long.
const UNBOUNDED: Duration = Duration::from_hours(2);

/// Loads, kills and crashes at length; the report tells what came of it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Cut the parts short so that the whole takes about so long; without it they go their full length
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// Repeat an earlier run's choices
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only this part, instead of all
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// The file that the report's lines are added to
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
}

/// One part of the torture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Order,
    Kills,
    Restarts,
    Ghosts,
    Cleanup,
    KillMatrix,
    SplitBrain,
    Network,
    Answers,
    Operators,
    Disk,
    Wake,
    Upgrade,
    Simulation,
}

/// What the parts share.
struct Torture {
    seed: u64,
    start: Instant,
    whole: Option<Duration>,
    only: Option<Part>,
    report: Report,
}

impl Torture {
    /// A plan that is cut short when so much of the time is over, counted from the start of the first part.
    fn plan(&self, events: u64, faults: u64, percent: u32) -> Plan {
        let left = |whole: Duration| (whole * percent / 100).saturating_sub(self.start.elapsed());
        Plan {
            load: LoadOptions { seed: self.seed, keys: 1_000, bulk: 100_000, ..LoadOptions::default() },
            events,
            faults,
            control: Duration::ZERO,
            at_most: self.whole.map_or(UNBOUNDED, left),
            publish_within: PUBLISH_WITHIN,
            wait_at_most: WAIT_AT_MOST,
        }
    }

    fn has(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// Whether every part came out as it must.
    async fn run(&mut self) -> Result<bool> {
        // The controls of the simulation are its mutants.
        if self.only != Some(Part::Simulation) && !self.controls().await? {
            self.report.line("# void: a control came out clean")?;
            return Ok(false);
        }
        let mut clean = true;
        if self.has(Part::Order) {
            let plan = self.plan(200_000, 0, 50);
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::order(&database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Kills) {
            let mut plan = self.plan(0, 200, 70);
            plan.load.bulk = BULK_UNDER_FAULTS;
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::kills(&database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Restarts) {
            let mut plan = self.plan(0, 50, 95);
            plan.load.bulk = BULK_UNDER_FAULTS;
            let Stage { cluster, database, folder } = Stage::set()?;
            clean &= self.report.verdict(&scenario::restarts(&cluster, &database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Ghosts) {
            let plan = self.plan(0, 500, 97);
            let Stage { cluster, database, folder } = Stage::set()?;
            clean &= self.report.verdict(&scenario::ghosts(&cluster, &database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Cleanup) {
            let mut plan = self.plan(0, 1_000, 80);
            // How long an insert takes is timed too, which a machine that cannot keep up would decide.
            (plan.load.rate, plan.load.bulk) = (Some(500), 10_000);
            plan.control = EMPTYING.min(plan.at_most / 4);
            plan.at_most -= plan.control;
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::cleanup(&database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::KillMatrix) {
            for kind in [Kind::Postgres, Kind::Sqlite] {
                clean &= self.report.verdict(&scenario::kill_matrix(kind, 25).await?)?;
            }
        }
        clean &= self.leases_and_lines().await?;
        if self.has(Part::Wake) {
            clean &= self.wake().await?;
        }
        if self.has(Part::Disk) {
            clean &= self.disks().await?;
        }
        if self.has(Part::Upgrade) {
            for program in earlier_programs()? {
                let mut plan = self.plan(0, 50, 100);
                (plan.load.keys, plan.load.bulk, plan.publish_within) = (300, 0, CARRIED_WITHIN);
                let Stage { database, folder, cluster: _cluster } = Stage::set()?;
                clean &= self.report.verdict(&scenario::upgrade(&database, folder.path(), &plan, program).await?)?;
            }
        }
        if self.has(Part::Simulation) {
            // Each run has a runtime of its own.
            clean &= tokio::task::block_in_place(|| self.simulation())?;
        }
        Ok(clean)
    }

    /// Whether relays got over being stopped, and being cut off from their database.
    async fn leases_and_lines(&mut self) -> Result<bool> {
        let mut clean = true;
        if self.has(Part::SplitBrain) {
            let mut plan = self.plan(0, 300, 100);
            (plan.load.keys, plan.load.bulk, plan.publish_within) = (300, 0, OWNED_WITHIN);
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::split_brain(&database, folder.path(), &plan, 32).await?)?;
        }
        if self.has(Part::Network) {
            let mut plan = self.plan(0, 500, 100);
            (plan.load.keys, plan.load.bulk, plan.publish_within) = (300, 0, CARRIED_WITHIN);
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::network(&database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Answers) {
            let mut plan = self.plan(0, 1_000, 100);
            (plan.load.keys, plan.load.bulk, plan.publish_within) = (300, 0, CARRIED_WITHIN);
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::answers(&database, folder.path(), &plan).await?)?;
        }
        if self.has(Part::Operators) {
            let mut plan = self.plan(0, 10_000, 100);
            (plan.load.keys, plan.load.bulk) = (40, 0);
            let Stage { database, folder, cluster: _cluster } = Stage::set()?;
            clean &= self.report.verdict(&scenario::operators(&database, folder.path(), &plan).await?)?;
        }
        Ok(clean)
    }

    /// Whether the relay came through every full disk.
    async fn disks(&mut self) -> Result<bool> {
        let mut plan = self.plan(0, 20, 100);
        plan.publish_within = ROOM_WITHIN;
        let disk = SmallDisk::new(300)?;
        let options = ClusterOptions { parent: Some(disk.path().to_owned()), ..ClusterOptions::default() };
        let options = options.set("min_wal_size", "32MB").set("max_wal_size", "48MB");
        let Stage { cluster, database, folder } = Stage::on(options)?;
        let server = scenario::disk_of_the_server(&cluster, &disk, &database, folder.path(), &plan).await?;
        let mut clean = self.report.verdict(&server)?;
        let Stage { database, folder, cluster: _cluster } = Stage::set()?;
        clean &= self.report.verdict(&scenario::disk_of_the_file(&SmallDisk::new(16)?, &database, &plan).await?)?;
        let sqlite = scenario::disk_of_sqlite(&SmallDisk::new(16)?, folder.path(), &plan).await?;
        clean &= self.report.verdict(&sqlite)?;
        Ok(clean)
    }

    /// Whether no sleep outlasted an event, and the two protocols that are wrong on purpose were caught.
    async fn wake(&mut self) -> Result<bool> {
        let start = Instant::now();
        self.report.line("# wake: writers of every kind against relays that fall asleep")?;
        for protocol in [Protocol::NoEvidence, Protocol::EarlyLook] {
            let control = self.race(protocol, 1_000).await?;
            self.report.line(&format!("# control {protocol:?}: {control}"))?;
            if control.missed == 0 {
                self.report.line("# void: a control came out clean")?;
                return Ok(false);
            }
        }
        let by_trigger = self.race(Protocol::ByTrigger, 5_000).await?;
        self.report.line(&format!("# in plain SQL, by the trigger: {by_trigger}"))?;
        let outcome = self.race(Protocol::Sound, 20_000).await?;
        self.report.line(&format!("{outcome} {}", circumstances(self.seed, start.elapsed())))?;
        Ok(by_trigger.is_clean() && outcome.is_clean())
    }

    /// Whether every mutant was found, and nothing wrong in the relay.
    fn simulation(&mut self) -> Result<bool> {
        let start = Instant::now();
        let at_most = self.plan(0, 0, 100).at_most;
        self.report.line("# simulation: whole relays against a simulated database, far side and clock")?;
        for (mutant, run) in hunt(&(0..MUTANTS_WITHIN)) {
            let Some(run) = run else {
                self.report.line(&format!("# void: {mutant:?} got through {MUTANTS_WITHIN} seeds"))?;
                return Ok(false);
            };
            self.report.line(&format!("# mutant {mutant:?}: {:?} at seed {}", mutant.killed_by(), run.seed))?;
        }
        let swept = sweep(&Single::all());
        let mut whole = Campaign::default();
        for first in (self.seed..self.seed + SEEDS).step_by(SEEDS_AT_ONCE) {
            if start.elapsed() < at_most {
                whole.join(seeds(first..first + SEEDS_AT_ONCE as u64));
            }
        }
        for run in swept.wrong.iter().chain(&whole.wrong) {
            self.report.line(&format!("# {}", run.verdict()))?;
        }
        let (faults, survived) = (swept.runs, swept.runs - swept.wrong.len());
        let (runs, steps, hours) = (whole.runs, whole.steps, whole.simulated.as_secs() / 3600);
        let wrong = whole.wrong.len();
        let told = circumstances(self.seed, start.elapsed());
        self.report.line(&format!(
            "single_faults={faults} survived={survived} runs={runs} violations={wrong} steps={steps} simulated={hours}h {told}"
        ))?;
        Ok(swept.wrong.is_empty() && whole.wrong.is_empty())
    }

    /// One race on a server of its own.
    async fn race(&self, protocol: Protocol, sleeps: u64) -> Result<Outcome> {
        let cluster = Cluster::start(ClusterOptions::default())?;
        let databases = (0..LANES).map(|lane| Database::on(&cluster, &format!("lane_{lane}")));
        let databases = databases.collect::<Result<Vec<_>>>()?;
        let at_most = self.plan(0, 0, 100).at_most;
        scenario::wake(&databases, Race { protocol, sleeps, lanes: LANES, at_most, seed: self.seed }).await
    }

    /// Whether all of them failed.
    async fn controls(&mut self) -> Result<bool> {
        let stage = Stage::set()?;
        let version = stage.cluster.binaries().version()?;
        self.report.line(&format!("# PostgreSQL {version}, {} cores", available_parallelism()?))?;
        let mut plan = self.plan(10_000, 0, 10);
        (plan.load.bulk, plan.load.keys) = (20_000, 200);
        let controls = scenario::controls(&stage.database, &plan).await?;
        self.report.line(&format!("# controls: {controls}"))?;
        Ok(controls.all_failed())
    }
}

/// The relays of earlier revisions, which `cargo xtask torture` has built.
fn earlier_programs() -> Result<Vec<PathBuf>> {
    let programs = env::var_os(EARLIER_VARIABLE).with_context(|| format!("{EARLIER_VARIABLE} is not set"))?;
    Ok(env::split_paths(&programs).collect())
}

/// An empty database on a server of its own, and a folder for the relay's file.
struct Stage {
    database: Database,
    folder: TempDir,
    cluster: Arc<Cluster>,
}

impl Stage {
    fn set() -> Result<Self> {
        Self::on(ClusterOptions::default())
    }

    fn on(options: ClusterOptions) -> Result<Self> {
        let cluster = Arc::new(Cluster::start(options)?);
        Ok(Self { database: Database::on(&cluster, "torture")?, folder: tempfile::tempdir()?, cluster })
    }
}

/// Prints every line and adds it to the report.
struct Report(File);

impl Report {
    fn open(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self(file.with_context(|| format!("{} cannot be written", path.display()))?))
    }

    fn line(&mut self, text: &str) -> Result<()> {
        println!("{text}");
        writeln!(self.0, "{text}")?;
        Ok(())
    }

    fn verdict(&mut self, verdict: &Verdict) -> Result<bool> {
        self.line(&format!("# {}", verdict.name))?;
        for note in &verdict.notes {
            self.line(&format!("# {note}"))?;
        }
        self.line(&verdict.to_string())?;
        Ok(verdict.is_clean())
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut torture = Torture {
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        start: Instant::now(),
        whole: arguments.minutes.map(|minutes| Duration::from_mins(minutes.into())),
        only: arguments.only,
        report: Report::open(&arguments.report)?,
    };
    match torture.run().await {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) => {
            let text = error.to_string();
            torture.report.line(&format!("# broken off: {}", text.lines().next().unwrap_or_default()))?;
            Err(error)
        }
    }
}
