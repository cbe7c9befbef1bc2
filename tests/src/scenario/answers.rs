//! Answers that never come: the server did what it was asked to do, and nobody is told.
//!
//! In turn the answer to a checkpoint, to the renewal of the leases and to an application's `COMMIT` is cut off, and the
//! connection with it. The relay may repeat nothing for that, and no checkpoint may go back; the application has its event
//! once, as it finds when it looks.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use outbox_core::NewEvent;
use outbox_sqlx::PgOutbox;
use sqlx::{Connection, PgConnection};

use super::audit::Audit;
use super::network::{proxy, recovery};
use super::{Plan, figures, spread};
use crate::database::{Database, moved};
use crate::load::SteadyLoad;
use crate::output::{self, Tail};
use crate::proxy::Proxy;
use crate::relay_process::{Relay, SMALL_WINDOW};
use crate::verdict::Verdict;

/// What is written meanwhile: so many events a second on so many keys.
const RATE: u32 = 300;

/// How long anything may take at all.
const AT_LAST: Duration = Duration::from_mins(1);

/// Of the statement that moves checkpoints, of the one that renews leases, and of the application's first.
const CHECKPOINT: &str = "SET position = new.position";
const RENEWAL: &str = "SET expires_at = clock_timestamp()";
const BUSINESS: &str = "UPDATE agg SET ver = ver + 1 WHERE k = 'k-app'";

/// What a piece begins with that has a prepared statement carried out, and one that is a text.
const BIND: u8 = b'B';
const QUERY: u8 = b'Q';

/// Runs it in an empty database. An answer that is cut off is survived when the relay publishes soon enough after it, and when the
/// application finds its transaction committed once.
///
/// # Errors
///
/// When the load breaks down, the relay ends by itself, or an answer came all the same.
pub async fn answers(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let (relay, network) = (Relay::new(database, folder).with_window(SMALL_WINDOW), proxy(database).await?);
    relay.migrate().await?;
    for mark in [CHECKPOINT, RENEWAL] {
        network.know_by(mark);
    }
    let load = SteadyLoad::start(database, plan.load.seed, plan.load.keys, RATE).await?;
    let audit = Audit::begin(database).await?;
    let mut application = Application::open(database).await?;
    let mut process = relay.with(&["--lease", "2s"]).at(&network.address()).spawn()?;
    let first = Tail::from_start(relay.output()).wait_for("partitionkey", AT_LAST).await;
    first.with_context(|| format!("the relay does not begin: …{}", relay.end_of_log()))?;
    let (mut recoveries, mut faults) = (Vec::new(), 0);
    while faults < plan.faults && (faults == 0 || start.elapsed() < plan.at_most) {
        match faults % 3 {
            2 => application.commit_unheard().await?,
            kind => {
                network.swallow_answer([CHECKPOINT, RENEWAL][usize::from(kind == 1)], BIND);
                let sprung = tokio::time::timeout(AT_LAST, network.until_sprung(1 + recoveries.len() as u64)).await;
                sprung.with_context(|| format!("nothing was asked any more: …{}", relay.end_of_log()))?;
                recoveries.push(recovery(&relay).await?);
            }
        }
        faults += 1;
        process.must_run()?;
    }
    let truth = load.finish().await?;
    process.stop().await?;
    relay.drain().await?;
    let told = audit.end().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let late = recoveries.iter().filter(|took| **took > plan.publish_within).count() as u64;
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("published_again_after {}", spread(recoveries)));
    notes.push(told.to_string());
    Ok(Verdict {
        name: "answers: to checkpoints, renewals and COMMITs, cut off",
        faults,
        survived: if told.is_clean() { faults - late } else { 0 },
        findings,
        bound: 0,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// An application that is never told whether it has committed.
struct Application {
    network: Proxy,
    url: String,
    /// By which it looks afterwards.
    looking: PgConnection,
    version: i64,
}

impl Application {
    async fn open(database: &Database) -> Result<Self> {
        let network = proxy(database).await?;
        let url = moved(&database.writer_url(), &network.address());
        let mut looking = database.connect().await?;
        sqlx::query("INSERT INTO agg (k) VALUES ('k-app')").execute(&mut looking).await?;
        Ok(Self { network, url, looking, version: 0 })
    }

    async fn commit_unheard(&mut self) -> Result<()> {
        let mut session = PgConnection::connect(&self.url).await?;
        self.network.swallow_answer(BUSINESS, QUERY);
        self.version += 1;
        ensure!(self.business(&mut session).await.is_err(), "the answer to a COMMIT came all the same");
        let found = sqlx::query_as(
            "SELECT ver, (SELECT count(*) FROM outbox_event WHERE event_key = k) FROM agg WHERE k = 'k-app'",
        );
        let found: (i64, i64) = found.fetch_one(&mut self.looking).await?;
        ensure!(
            found == (self.version, self.version),
            "of {} transactions and events there are {found:?}",
            self.version
        );
        Ok(())
    }

    async fn business(&self, session: &mut PgConnection) -> Result<()> {
        let mut tx = session.begin().await?;
        sqlx::query(BUSINESS).execute(&mut *tx).await?;
        let payload = format!(r#"{{"k":"k-app","ver":{}}}"#, self.version);
        PgOutbox::new().append(&mut tx, &NewEvent::new("torture", "k-app").json(payload)).await?;
        Ok(tx.commit().await?)
    }
}
