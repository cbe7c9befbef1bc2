//! `outbox-relay cleanup`: one pass of retention, for people, for cron, and to see why something is not removed.

use outbox_core::Retention;
use outbox_relay::cleanup::{Report, clean};
use serde::Serialize;

use crate::adapter;
use crate::cleanup_table;
use crate::exit::{Exit, Failure};
use crate::printable::printable_json;
use crate::settings::Database;

/// The form of the JSON.
#[derive(Serialize)]
struct Told<'r> {
    version: u32,
    dry_run: bool,
    #[serde(flatten)]
    report: &'r Report,
}

/// Makes a pass, or says what one would do.
pub(crate) async fn execute(
    dry_run: bool,
    database: &Database,
    retention: &Retention,
    json: bool,
) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    adapter::check_instance(&store.check().await?.instance, database)?;
    let report = clean(store.as_ref(), retention, dry_run).await?;
    if json {
        let told = Told { version: 1, dry_run, report: &report };
        let line = serde_json::to_string(&told).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&cleanup_table::render(&report, dry_run))?;
    }
    Ok(Exit::Done)
}
