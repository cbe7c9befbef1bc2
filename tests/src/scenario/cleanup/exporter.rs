//! A reader that is no subscription: it sets a hold, reads what there is, page by page, and lets go.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, bail};
use outbox_core::checkpoint::Checkpoint;
use outbox_core::frontier::Frontier;
use outbox_core::lease::{Claim, RelayIdentity};
use outbox_core::{Filter, Position, Start, Store, StoreErrorKind};
use outbox_sqlx::PgStore;
use sqlx::Connection as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::company::Kind;
use crate::database::Database;
use crate::scenario::pause;

/// How long a hold lasts; nothing here takes a tenth of it.
const LEASE: Duration = Duration::from_mins(5);

/// How many events come in one page: small, so that many segments are emptied between two of them.
const PAGE: u32 = 500;

/// How long the reader rests between two pages.
const REST: Duration = Duration::from_millis(2);

/// Where nothing is emptied an export begins so many positions back.
const BACK: Position = 2_000;

/// How long nobody exports, in milliseconds, so that segments are emptied between two exports as well as beside them.
const BETWEEN: std::ops::Range<u64> = 0..1_000;

/// What one export saw.
#[derive(Debug)]
pub(super) struct Export {
    /// It began above this position …
    pub(super) above: Position,
    /// … and read up to this one.
    pub(super) to: Position,
    /// What it saw.
    pub(super) seen: HashSet<Position>,
}

/// Exports until it is told to stop.
pub(super) async fn export_again_and_again(
    kind: Kind,
    database: Database,
    store: PgStore,
    stop: CancellationToken,
) -> Result<Vec<Export>> {
    let mut exports = Vec::new();
    while !stop.is_cancelled() {
        exports.extend(export(kind, &store).await?);
        let mut session = database.connect_as_relay().await?;
        sqlx::raw_sql("DELETE FROM outbox_checkpoint WHERE subscription LIKE 'hold:%'").execute(&mut session).await?;
        session.close().await?;
        pause(Duration::from_millis(fastrand::u64(BETWEEN))).await;
    }
    Ok(exports)
}

/// One export; none where cleanup overtook its start.
async fn export(kind: Kind, store: &PgStore) -> Result<Option<Export>> {
    let mut source = store.source(&Filter::default()).await?;
    let start = match kind {
        Kind::Emptying => Start::Beginning,
        // As much as there is of a log that is emptied.
        Kind::Looking => Start::Position(source.last_position().await?.saturating_sub(BACK).max(1)),
    };
    let (above, open) = source.locate(start).await?;
    let me = RelayIdentity {
        relay_id: Uuid::now_v7(),
        name: "export".to_owned(),
        host: String::new(),
        process_id: 0,
        process_started: String::new(),
    };
    let hold = format!("hold:{}", me.relay_id);
    let mut leases = store.leases().await?;
    let Claim::Held { epoch } = leases.acquire_one(&me, &hold, LEASE).await? else { bail!("a new hold is somebody's") };
    let checkpoint = Checkpoint { position: above, open: open.clone(), events: Vec::new() };
    match store.checkpoints().await?.create(&hold, epoch, &checkpoint).await {
        Err(error) if error.kind() == StoreErrorKind::Unavailable => {
            leases.release(&me).await?;
            return Ok(None);
        }
        created => created?,
    }
    let to = source.last_position().await?;
    let mut frontier = Frontier::new(above, &open);
    let mut seen = HashSet::new();
    while frontier.position() < to || frontier.first_open().is_some_and(|open| open <= to) {
        let mut request = frontier.request(PAGE, u64::MAX >> 1);
        request.above &= frontier.position() < to;
        let read = source.read(&request).await?;
        let ended = read.complete && request.above;
        seen.extend(frontier.absorb(read).iter().map(outbox_core::source::Row::position));
        if ended && frontier.first_open().is_none() {
            // What was drawn last and rolled back never comes.
            break;
        }
        pause(REST).await;
    }
    leases.release(&me).await?;
    Ok(Some(Export { above, to, seen }))
}
