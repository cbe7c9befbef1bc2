//! Races writers against a relay that goes to sleep again and again: whoever commits while it sleeps must have told it.
//!
//! Writers of every isolation level, with savepoints, rollbacks, long and prepared transactions write little, so that the
//! relay sleeps after nearly each of them, and a pause of any length lies between any two steps of both. The oracle: an event
//! in the first read after a sleep must have been announced by its writer, unless that looked when the relay was awake again.
//! What decides whether an event is *lost* is asked as well, and never depends on any of this.

mod judge;
mod watched;
mod writers;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use outbox_core::{Names, WakeMode};
use outbox_relay::publisher::closure;
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::PgStore;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use self::judge::Judge;
use self::watched::Watched;
use self::writers::Writers;
use super::pause;
use crate::database::Database;

/// A protocol that is wrong on purpose, or the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// As it is.
    Sound,
    /// As it is, with writers in plain SQL, for whom the trigger tells.
    ByTrigger,
    /// The relay sleeps without waiting for those who wrote when it armed.
    NoEvidence,
    /// Writers look before they lock the log, as with a flag that an old snapshot hides.
    EarlyLook,
}

/// How far a race goes.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    /// Who does what.
    pub protocol: Protocol,
    /// How often the relays fall asleep in all.
    pub sleeps: u64,
    /// So many relays race at once, each on a database of its own.
    pub lanes: usize,
    /// When it is cut short.
    pub at_most: Duration,
    /// The seed of all choices.
    pub seed: u64,
}

/// What came of a race.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So often a relay fell asleep and was woken.
    pub sleeps: u64,
    /// So many events were committed.
    pub events: u64,
    /// So many of them their writers announced, as far as they can see.
    pub announced: u64,
    /// So many words came to whoever listens: one of each transaction that announces.
    pub told: u64,
    /// So many came in the first read after a sleep although nobody had announced them.
    pub missed: u64,
    /// So many were committed and not published.
    pub lost: u64,
    /// So many their writers looked for while the relay was being woken, of which nobody can tell.
    pub unclear: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sleeps, events, announced, told, missed, lost, unclear } = self;
        write!(
            f,
            "sleeps={sleeps} missed={missed} lost={lost} events={events} announced={announced} told={told} unclear={unclear}"
        )
    }
}

impl Outcome {
    /// Whether nothing was missed or lost, and whoever announced was heard. A relay may fall asleep or wake up between the moment
    /// in which the statement looks and the one in which its writer does, so a word in a hundred may be spared.
    pub fn is_clean(&self) -> bool {
        self.missed == 0 && self.lost == 0 && self.announced > 0 && self.told * 100 >= self.announced * 99
    }
}

impl std::ops::Add for Outcome {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sleeps: self.sleeps + other.sleeps,
            events: self.events + other.events,
            announced: self.announced + other.announced,
            told: self.told + other.told,
            missed: self.missed + other.missed,
            lost: self.lost + other.lost,
            unclear: self.unclear + other.unclear,
        }
    }
}

/// Runs it, each lane in an empty database.
///
/// # Errors
///
/// When the server breaks down, or a relay ends by itself.
pub async fn wake(databases: &[Database], race: Race) -> Result<Outcome> {
    let lanes = databases.iter().take(race.lanes).enumerate().map(|(lane, database)| run(database, lane as u64, race));
    Ok(try_join_all(lanes).await?.into_iter().fold(Outcome::default(), std::ops::Add::add))
}

/// Where relays are told.
const CHANNEL: &str = "SELECT 'outbox:' || 'outbox_wake'::regclass::oid";

/// Wakes whoever sleeps.
const WORD: &str = "SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, $1)";

/// The last word.
const END: &str = "end";

/// How long the last events may take.
const PATIENCE: Duration = Duration::from_mins(1);

async fn run(database: &Database, lane: u64, race: Race) -> Result<Outcome> {
    database.migrate().await?;
    database.make_users().await?;
    let judge = Arc::new(Judge::default());
    if race.protocol == Protocol::ByTrigger {
        PgStore::new(database.url(), Names::default())?.set_wake_trigger(true).await?;
    }
    let mut session = database.connect().await?;
    let mut listener = PgListener::connect(database.url()).await?;
    let channel: String = sqlx::query_scalar(CHANNEL).fetch_one(&mut session).await?;
    listener.listen(&channel).await?;
    let told = tokio::spawn(count(listener));
    let store = PgStore::new(&database.relay_url(), Names::default())?;
    let relay = Relay::builder(Watched::new(store, race.protocol, Arc::clone(&judge)))
        .wake(WakeMode::Notify)
        .retention(None)
        .subscription(Subscription::new("race", closure(|_| async { Ok::<(), std::io::Error>(()) })))
        .start()
        .await?;
    let start = Instant::now();
    let writers = Writers::start(database, race.protocol, race.seed.wrapping_add(lane), &judge).await?;
    let wanted = race.sleeps.div_ceil(race.lanes as u64);
    while judge.sleeps() < wanted && start.elapsed() < race.at_most {
        pause(Duration::from_millis(20)).await;
    }
    writers.finish().await?;
    let last = Instant::now();
    while judge.unread() > 0 && last.elapsed() < PATIENCE {
        // What a wrong protocol has missed comes with the next word, and nobody writes any more.
        if matches!(race.protocol, Protocol::NoEvidence | Protocol::EarlyLook) {
            sqlx::query(WORD).bind("").execute(&mut session).await?;
        }
        pause(Duration::from_millis(20)).await;
    }
    relay.stop().await.context("the relay ended badly")?;
    ensure!(judge.sleeps() > 0, "the relay never slept");
    sqlx::query(WORD).bind(END).execute(&mut session).await?;
    let told = timeout(PATIENCE, told).await.context("the last word does not come")???;
    Ok(Outcome { told, ..judge.verdict() })
}

/// Counts the words up to the last.
async fn count(mut listener: PgListener) -> Result<u64> {
    let mut words = 0;
    while listener.try_recv().await?.context("words may have been lost with the connection")?.payload() != END {
        words += 1;
    }
    Ok(words)
}
