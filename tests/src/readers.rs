//! Readers as they are often written, each with the one mistake that gives it its name: the controls of the oracle.

mod after_last_id;
mod beyond_the_limit;
mod xid_watermark;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::Deserialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::after_last_id::AfterLastId;
pub use self::beyond_the_limit::BeyondTheLimit;
pub use self::xid_watermark::XidWatermark;
use crate::conformance::waiting::between_looks;
use crate::database::Database;
use crate::oracle::{Oracle, Sighting};

/// How many events a control reads at a time.
pub const BATCH: i64 = 1_000;

/// How often in a row a control finds nothing before it believes that nothing more will come.
const QUIET: u32 = 5;

/// A way of reading the outbox.
pub trait BrokenReader: Send + 'static {
    /// Reads the next batch.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    fn poll(&mut self, session: &mut PgConnection) -> impl Future<Output = Result<Vec<Sighting>>> + Send;
}

/// A control that reads beside the load.
pub struct Control {
    stop: CancellationToken,
    seen: Arc<AtomicU64>,
    oracle: Arc<Mutex<Oracle>>,
    task: JoinHandle<Result<()>>,
}

impl Control {
    /// Begins to read.
    pub fn start(database: &Database, mut reader: impl BrokenReader) -> Self {
        let (stop, seen, oracle) = (CancellationToken::new(), Arc::default(), Arc::default());
        let (database, token) = (database.clone(), stop.clone());
        let (count, judge) = (Arc::<AtomicU64>::clone(&seen), Arc::<Mutex<Oracle>>::clone(&oracle));
        let task = tokio::spawn(async move {
            let mut session = database.connect().await?;
            let mut quiet = 0;
            while quiet < QUIET {
                let ending = token.is_cancelled();
                let sightings = reader.poll(&mut session).await?;
                if sightings.is_empty() {
                    quiet += u32::from(ending);
                    between_looks().await;
                    continue;
                }
                quiet = 0;
                count.fetch_add(u64::try_from(sightings.len())?, Ordering::Relaxed);
                let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
                for sighting in sightings {
                    judge.observe(sighting);
                }
            }
            Ok(())
        });
        Self { stop, seen, oracle, task }
    }

    /// How many events it has read so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Lets it read to what it takes for the end; what it saw is then ready to be judged.
    ///
    /// # Errors
    ///
    /// When reading failed.
    pub async fn finish(self) -> Result<Oracle> {
        self.stop.cancel();
        self.task.await??;
        let mut oracle = self.oracle.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut oracle))
    }
}

#[derive(Deserialize)]
struct Payload {
    ver: u64,
}

/// Takes a row of `position, event_id, event_key, payload`.
fn sighting(row: &PgRow) -> Result<Sighting> {
    let key: String = row.try_get("event_key")?;
    let payload: Payload = serde_json::from_str(row.try_get("payload")?)
        .with_context(|| format!("the payload of an event of {key} is not the load's"))?;
    Ok(Sighting {
        key,
        version: payload.ver,
        id: row.try_get("event_id")?,
        position: u64::try_from(row.try_get::<i64, _>("position")?)?,
        replayed: false,
    })
}
