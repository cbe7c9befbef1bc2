//! Many operators who decide about the same dead letters at once, while the relay is killed again and again.
//!
//! One event in ten is torn and will not pass until somebody mends it. The operators requeue, skip, discard, replay and pause at
//! random, each as if nobody else were there. In the end what nobody gave up has come out in order, and what somebody gave up has not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use outbox_core::dead_letter::{Letter, State};
use outbox_core::source::Row;
use outbox_core::{Filter, Names, Payload, Store};
use outbox_relay::Replay;
use outbox_relay::dead_letters::{By, DecisionError, Which, discard, list, pause, requeue, resume, skip};
use outbox_sqlx::PgStore;
use tokio::task::JoinSet;

use super::{Plan, figures, pause as rest, version};
use crate::database::Database;
use crate::load::SteadyLoad;
use crate::oracle::Truth;
use crate::output::{self, Tail};
use crate::relay_process::{Relay, SMALL_WINDOW};
use crate::verdict::Verdict;

/// So many decide beside one another.
const OPERATORS: u64 = 6;

/// What is written meanwhile: so many events a second, and so many torn ones of a hundred.
const RATE: u32 = 150;
const TORN: u32 = 10;

/// How long a relay is at work before it is killed, in milliseconds.
const AT_WORK: std::ops::Range<u64> = 300..2_500;

/// How long anything may take at all.
const AT_LAST: Duration = Duration::from_mins(2);

/// The subscription of the relay's program.
const SUBSCRIPTION: &str = "default";

/// What became of the commands.
#[derive(Debug, Default)]
struct Commands {
    done: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
}

impl Commands {
    fn given(&self) -> u64 {
        [&self.done, &self.late, &self.refused].into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Counts an outcome; a database that cannot be asked is none.
    fn count<T>(&self, outcome: Result<T, DecisionError>) -> Result<()> {
        let counter = match outcome {
            Ok(_) => &self.done,
            Err(DecisionError::Late(_)) => &self.late,
            Err(DecisionError::Refused(_)) => &self.refused,
            Err(error) => return Err(error.into()),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Runs it in an empty database; a fault is a command.
///
/// # Errors
///
/// When the load breaks down, a relay ends by itself, or what is mended does not pass.
pub async fn operators(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder).with_window(SMALL_WINDOW).with(&["--lease", "1s"]);
    relay.migrate().await?;
    let load = SteadyLoad::start_torn(database, plan.load.seed, plan.load.keys, RATE, TORN).await?;
    let mut process = relay.spawn()?;
    Tail::from_start(relay.output()).wait_for("partitionkey", AT_LAST).await?;
    let store = Arc::new(PgStore::new(&database.relay_url(), Names::default())?);
    let (commands, mut deciding) = (Arc::new(Commands::default()), JoinSet::new());
    for number in 0..OPERATORS {
        let random = fastrand::Rng::with_seed(plan.load.seed.wrapping_add(number));
        let keys = plan.load.keys;
        deciding.spawn(decide_again_and_again(store.clone(), commands.clone(), random, (keys, plan.faults)));
    }
    let (mut random, mut kills) = (fastrand::Rng::with_seed(plan.load.seed), 0);
    while commands.given() < plan.faults && start.elapsed() < plan.at_most {
        rest(Duration::from_millis(random.u64(AT_WORK))).await;
        process.kill().await?;
        kills += 1;
        process = relay.spawn()?;
        while let Some(ended) = deciding.try_join_next() {
            ended??;
        }
    }
    deciding.shutdown().await;
    let mut truth = load.finish().await?;
    mend_all(store.as_ref()).await.with_context(|| format!("not all is sent: …{}", relay.end_of_log()))?;
    process.stop().await?;
    relay.drain().await?;
    give_up(&mut truth, database).await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let mut notes = figures(plan, &truth, &findings);
    let Commands { done, late, refused } = &*commands;
    notes.push(format!("operators={OPERATORS} done={done:?} late={late:?} refused={refused:?} relays_killed={kills}"));
    notes.push(format!("given_up={}", truth.given_up.len()));
    let faults = commands.given();
    Ok(Verdict {
        name: "operators: requeue, skip, discard, replay and pause the same letters, while relays are killed",
        faults,
        survived: faults,
        findings,
        bound: (kills + 1) * SMALL_WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

async fn decide_again_and_again(
    store: Arc<PgStore>,
    commands: Arc<Commands>,
    mut random: fastrand::Rng,
    (keys, enough): (u32, u64),
) -> Result<()> {
    while commands.given() < enough {
        // Of one key: what was decided before stays on record, and all of it is much by and by.
        let key = format!("k-{}", random.u32(1..=keys));
        let letters = store.desk().await?.letters(SUBSCRIPTION, Some(&key)).await?;
        let open: Vec<_> = letters.iter().filter(|letter| !letter.state.is_over()).collect();
        match random.choice(open) {
            Some(letter) => decide(&store, letter, &commands, &mut random).await?,
            None => rest(Duration::from_millis(1)).await,
        }
    }
    Ok(())
}

async fn decide(store: &Arc<PgStore>, letter: &Letter, commands: &Commands, random: &mut fastrand::Rng) -> Result<()> {
    let by = By { actor: Some("one of many".to_owned()), reason: Some("at random".to_owned()) };
    let position = Which::Position(letter.position);
    let which = if random.bool() { Which::Key(letter.key.clone()) } else { position.clone() };
    match random.u8(..50) {
        0..23 => {
            let Some(payload) = mended(store.as_ref(), letter).await? else { return Ok(()) };
            commands.count(requeue(store.as_ref(), SUBSCRIPTION, &position, Some(payload), &by).await)
        }
        23..35 => commands.count(requeue(store.as_ref(), SUBSCRIPTION, &which, None, &by).await),
        35..46 => commands.count(skip(store.as_ref(), SUBSCRIPTION, &which, &by).await),
        46 => commands.count(discard(store.as_ref(), SUBSCRIPTION, &which, &by).await),
        47..49 => {
            let filter = Filter { keys: vec![letter.key.clone()], ..Filter::default() };
            let replay = Replay::new(filter).from(letter.position - 500).patience(Duration::from_secs(1));
            commands.count(replay.run(store.clone(), SUBSCRIPTION).await)
        }
        _ => {
            commands.count(pause(store.as_ref(), SUBSCRIPTION, &by).await)?;
            rest(Duration::from_millis(random.u64(..300))).await;
            commands.count(resume(store.as_ref(), SUBSCRIPTION).await)
        }
    }
}

/// What the letter should have carried.
async fn mended(store: &dyn Store, letter: &Letter) -> Result<Option<Vec<u8>>> {
    let copy = store.desk().await?.copy(SUBSCRIPTION, letter.position).await?;
    let Some(Row::Event(event)) = copy else { return Ok(None) };
    let Some(Payload::Text(mut payload)) = event.payload else { bail!("{} carries no text", letter.position) };
    if !payload.ends_with(b"}") {
        payload.push(b'}');
    }
    Ok(Some(payload))
}

/// Mends what is left, until nothing is.
async fn mend_all(store: &dyn Store) -> Result<()> {
    let (mut fewest, mut since) = (usize::MAX, Instant::now());
    resume(store, SUBSCRIPTION).await?;
    loop {
        let letters = list(store, SUBSCRIPTION, None).await?;
        let open: Vec<_> = letters.iter().filter(|letter| !letter.state.is_over()).collect();
        if open.is_empty() {
            return Ok(());
        }
        if open.len() < fewest {
            // A key mends one torn event after another.
            (fewest, since) = (open.len(), Instant::now());
        }
        ensure!(since.elapsed() < AT_LAST, "{} letters are left, {:?} among them", open.len(), open[0]);
        for letter in open.iter().filter(|letter| letter.state == State::Parked) {
            if let Some(payload) = mended(store, letter).await? {
                let which = Which::Position(letter.position);
                let outcome = requeue(store, SUBSCRIPTION, &which, Some(payload), &By::default()).await;
                // Else another of its key comes first, or the relay is at it.
                if let Err(DecisionError::Store(error)) = outcome {
                    return Err(error.into());
                }
            }
        }
        rest(Duration::from_millis(50)).await;
    }
}

/// Notes what was given up; a replay that somebody gave up had come out before.
async fn give_up(truth: &mut Truth, database: &Database) -> Result<()> {
    let given_up = "SELECT payload FROM outbox_dead_letter WHERE state IN ('skipped', 'discarded') AND NOT replayed";
    let payloads: Vec<String> = sqlx::query_scalar(given_up).fetch_all(&mut database.connect().await?).await?;
    truth.given_up = payloads.iter().map(|payload| version(payload)).collect::<Result<_>>()?;
    Ok(())
}
