//! `outbox-relay pause` and `resume`: lets a subscription hand nothing over for a while.

use std::time::Duration;

use outbox_relay::dead_letters::{pause, resume, until_paused};

use super::dead_letters::by;
use crate::adapter;
use crate::arguments::Pause;
use crate::exit::{Exit, Failure};
use crate::printable::{printable, printable_json};
use crate::settings::Database;

/// How long relays may take to notice: a third of the longest lease that anybody is likely to have.
const PATIENCE: Duration = Duration::from_mins(1);

/// Pauses the subscription, or lets it go on; both do no harm twice.
pub(crate) async fn execute(flags: &Pause, pauses: bool, database: &Database, json: bool) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    adapter::check_instance(&store.check().await?.instance, database)?;
    let name = &flags.of.subscription;
    let changed = if pauses {
        let changed = pause(store.as_ref(), name, &by(&flags.by)).await?;
        until_paused(store.as_ref(), name, PATIENCE).await?;
        changed
    } else {
        resume(store.as_ref(), name).await?
    };
    if json {
        let told = serde_json::json!({ "subscription": name, "paused": pauses, "changed": changed });
        super::print(&format!("{}\n", printable_json(&told.to_string())))?;
    } else {
        let told = match (pauses, changed) {
            (true, true) => "is paused",
            (true, false) => "was paused already",
            (false, true) => "goes on",
            (false, false) => "was not paused",
        };
        super::print(&format!("subscription {} {told}\n", printable(name)))?;
    }
    Ok(Exit::Done)
}
