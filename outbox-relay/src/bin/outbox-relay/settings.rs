//! Settings: what flags, environment and file say, laid over one another and judged as a whole.
//!
//! Each of the three hands out its texts through [`Section`], so that a value is read the same way wherever it stands.
//! Precedence: flag, then `OUTBOX_*`, then `DATABASE_URL`, then file. Everything wrong is told at once.

use std::time::Duration;

use outbox_core::Retention;

mod database;
mod environment;
mod file;
mod filter;
mod flags;
mod metrics;
mod publisher;
mod relay;
mod retention;
mod secret;
mod section;
mod selection;
mod subscription;
mod table;

pub(crate) use database::{Database, Kind};
pub(crate) use environment::Environment;
pub(crate) use metrics::Metrics;
#[cfg(feature = "serve")]
pub(crate) use metrics::Token;
pub(crate) use publisher::PublisherUrl;
pub(crate) use relay::Relay;
pub(crate) use selection::Selection;
pub(crate) use subscription::Subscription;

use crate::arguments::{Command, Global, Run};
use crate::problem::{Place, Placed, Problems};
use crate::quantity;
use database::DatabaseLayer;
use file::{File, FromFile};
use flags::Flags;
use metrics::MetricsLayer;
use relay::RelayLayer;
use retention::RetentionLayer;

/// Everything that was set, with defaults where nothing was.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The database.
    pub(crate) database: Database,
    /// Limits of the relay, where they were set.
    pub(crate) relay: Relay,
    /// For `run`: how metrics are served, if they are.
    pub(crate) metrics: Option<Metrics>,
    /// How long events are kept.
    pub(crate) retention: Retention,
    /// The subscriptions, at least one for `run`.
    pub(crate) subscriptions: Vec<Subscription>,
    /// With `--until-empty`: how long to go on without progress.
    pub(crate) until_empty: Option<Duration>,
    /// For `events`: which of them; all where nothing else was said.
    pub(crate) selection: Selection,
}

impl Settings {
    /// Reads all three sources for a command.
    ///
    /// # Errors
    ///
    /// Every problem found.
    pub(crate) fn read(global: &Global, command: &Command, environment: &Environment) -> Result<Self, Problems> {
        let problems = &mut Problems::default();
        environment.refuse_misspelt(problems);
        let source = global.config.as_deref().and_then(|path| file::load(path, problems));
        let mut file = source.as_ref().map(|source| File::parse(source, problems));
        let run = if let Command::Run(run) = command { Some(&**run) } else { None };

        let mut flags = Flags::database(global);
        let layers = [
            DatabaseLayer::read(&mut flags, problems),
            DatabaseLayer::read(&mut environment.section("DATABASE"), problems),
            DatabaseLayer::fallback(environment),
            file.as_mut().map(|file| file.database(problems)).unwrap_or_default(),
        ];
        let database = Database::resolve(layers, environment, problems);
        let mut flags = run.map(|run| Flags::relay(&run.relay)).unwrap_or_default();
        let layers = [
            RelayLayer::read(&mut flags, problems),
            RelayLayer::read(&mut environment.section("RELAY"), problems),
            file.as_mut().map(|file| file.relay(problems)).unwrap_or_default(),
        ];
        let relay = Relay::resolve(layers, problems);
        let layers = [
            RetentionLayer::read(&mut environment.section("RETENTION"), problems),
            file.as_mut().map(|file| file.retention(problems)).unwrap_or_default(),
        ];
        let retention = RetentionLayer::resolve(layers, database.as_ref().map(|database| database.kind), problems);
        let mut flags = run.map(Flags::metrics).unwrap_or_default();
        let served = [
            MetricsLayer::read(&mut flags, problems),
            MetricsLayer::read(&mut environment.section("METRICS"), problems),
            file.as_mut().map(|file| file.metrics(problems)).unwrap_or_default(),
        ];
        let metrics = run.and_then(|run| Metrics::resolve(served, run.until_empty, environment, problems));
        let from_file = file.as_mut().map(|file| file.subscriptions(problems)).unwrap_or_default();
        if let Some(file) = file {
            file.finish(problems);
        }
        let until_empty = run.and_then(|run| until_empty(run, problems));
        let subscriptions = match run {
            Some(run) => chosen(run, from_file, problems),
            None => from_file.subscriptions,
        };
        let selection = match command {
            Command::Events { command } => Selection::read(command, environment, problems),
            _ => Selection::default(),
        };
        subscription::refuse_contradictions(&subscriptions, problems);
        std::mem::take(problems).settle()?;
        let database = database.ok_or_else(Problems::default)?;
        Ok(Self { database, relay, metrics, retention, subscriptions, until_empty, selection })
    }
}

fn until_empty(run: &Run, problems: &mut Problems) -> Option<Duration> {
    let value = run.timeout.clone().unwrap_or_else(|| "60s".to_owned());
    let timeout =
        Placed { value, place: Place::Flag("--timeout".into()) }.parse(problems, quantity::positive_duration)?;
    run.until_empty.then_some(timeout.value)
}

/// The subscriptions of the file, or the one from flags; never both.
fn chosen(run: &Run, from_file: FromFile, problems: &mut Problems) -> Vec<Subscription> {
    let flags = Flags::subscription(&run.subscription);
    if run.subscription.publisher.is_some() {
        if from_file.sections > 0 {
            problems.at(
                &Place::Flag("--publisher".into()),
                "contradicts the [[subscription]] sections of the configuration; leave one of them out",
            );
        }
        return subscription::read(&mut flags.or("name", "--name", "default"), problems).into_iter().collect();
    }
    match flags.first() {
        Some(flag) if from_file.sections > 0 => {
            problems.at(
                flag,
                "belongs to a subscription from flags; write it into the [[subscription]] of the configuration",
            );
        }
        Some(flag) => problems.at(flag, "needs --publisher URL beside it, such as `--publisher stdout`"),
        None if from_file.sections == 0 => problems.add(
            "no subscription; give one by flags, such as `outbox-relay run --publisher stdout`, or write a \
             [[subscription]] with name and publisher into the file of --config",
        ),
        None => {}
    }
    from_file.subscriptions
}

#[cfg(test)]
mod tests;
