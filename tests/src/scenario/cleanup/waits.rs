//! How long writers wait for a lock on the log: what emptying does to them, whatever else keeps them.

use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::scenario::pause;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(5);

/// The longest that any writer has been waiting for a lock on the log or a segment, in milliseconds.
const WAITING: &str = "\
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 * 1000 FROM pg_locks
    WHERE NOT granted AND mode = 'RowExclusiveLock'
        AND relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'outbox_event'::regclass
            UNION SELECT 'outbox_event'::regclass)";

/// Looks until it is told to stop; returns the longest wait seen, in milliseconds.
pub(super) async fn longest(database: Database, stop: CancellationToken) -> Result<f64> {
    let mut session = database.connect().await?;
    let mut longest = 0.0_f64;
    while !stop.is_cancelled() {
        longest = longest.max(sqlx::query_scalar(WAITING).fetch_one(&mut session).await?);
        pause(LOOK).await;
    }
    Ok(longest)
}
