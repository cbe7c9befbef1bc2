//! The broken readers beside the load: if one of them comes out clean, the load or the oracle is worth nothing.

use std::fmt;

use anyhow::{Result, ensure};

use super::Plan;
use crate::database::Database;
use crate::load::Load;
use crate::oracle::{Findings, Truth};
use crate::readers::{AfterLastId, BeyondTheLimit, Control, XidWatermark};

/// What the oracle found in each of them.
#[derive(Clone, Debug)]
pub struct Controls {
    /// What the database held.
    pub truth: Truth,
    /// `id > last`, which loses.
    pub after_last_id: Findings,
    /// The watermark of transaction ids, which swaps.
    pub xid_watermark: Findings,
    /// How many events the watermark gave out while the stranger's transaction was open.
    pub beside_the_stranger: u64,
    /// The one that judges beyond the limit, which loses most of a bulk transaction.
    pub beyond_the_limit: Findings,
}

impl Controls {
    /// Whether every one of them failed as it must.
    pub fn all_failed(&self) -> bool {
        self.after_last_id.lost > 0
            && self.xid_watermark.reordered > 0
            && self.beside_the_stranger == 0
            && self.beyond_the_limit.lost > 0
    }
}

impl fmt::Display for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "events={} dead_ids={}%; id > last: {}; xid watermark: {}, {} events while a stranger's transaction was open; \
             judging beyond the limit: {}",
            self.truth.events(),
            self.truth.dead_percent(),
            self.after_last_id,
            self.xid_watermark,
            self.beside_the_stranger,
            self.beyond_the_limit
        )
    }
}

/// Runs them in an empty database on a server that nobody else uses, because the watermark waits for everybody.
///
/// # Errors
///
/// When the load breaks down.
pub async fn controls(database: &Database, plan: &Plan) -> Result<Controls> {
    ensure!(plan.load.bulk > 0, "the controls need a bulk transaction");
    database.migrate().await?;
    let load = Load::start(database, plan.load.clone()).await?;
    let after_last_id = Control::start(database, AfterLastId::default());
    let xid_watermark = Control::start(database, XidWatermark::default());
    let beyond_the_limit = Control::start(database, BeyondTheLimit::default());
    load.wait_for(plan.events, plan.at_most).await?;
    let beside_the_stranger = xid_watermark.seen();
    let truth = load.finish().await?;
    Ok(Controls {
        after_last_id: after_last_id.finish().await?.judge(&truth),
        xid_watermark: xid_watermark.finish().await?.judge(&truth),
        beside_the_stranger,
        beyond_the_limit: beyond_the_limit.finish().await?.judge(&truth),
        truth,
    })
}
