//! What writers wait for: how long for a lock on the log, which is what emptying could do to them, and what else keeps the
//! inserts that are timed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::inserts::SESSION;
use crate::database::Database;
use crate::scenario::pause;

/// How often is looked, and so how much shorter than it is a wait may look.
const LOOK: Duration = Duration::from_millis(5);

/// The longest that any writer has been waiting for a lock on the log or a segment, in milliseconds.
const WAITING: &str = "\
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 * 1000 FROM pg_locks
    WHERE NOT granted AND mode = 'RowExclusiveLock'
        AND relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'outbox_event'::regclass
            UNION SELECT 'outbox_event'::regclass)";

/// What a timed insert waits for that has been under way for 20 ms; for a lock, what its holder waits for, who waits for none.
const KEPT: &str = "\
    WITH RECURSIVE activity AS (
        SELECT *, coalesce(wait_event_type || ':' || wait_event, 'at work') AS waits_for FROM pg_stat_activity
    ), timed AS (
        SELECT * FROM activity
        WHERE application_name = $1 AND state = 'active' AND query LIKE 'INSERT%'
            AND clock_timestamp() - query_start > '20 ms'
    ), waiting AS (
        SELECT pid FROM timed UNION SELECT unnest(pg_blocking_pids(pid)) FROM waiting
    )
    SELECT DISTINCT CASE WHEN timed.query LIKE '%outbox_event%' THEN 'log ' ELSE 'elsewhere ' END || timed.waits_for
        || CASE WHEN activity.pid = timed.pid THEN '' ELSE ' behind ' || activity.waits_for END
    FROM timed, waiting JOIN activity USING (pid)
    WHERE coalesce(activity.wait_event_type, '') <> 'Lock'";

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The longest wait of any writer for a lock on the log, in milliseconds.
    pub(super) longest: f64,
    /// How often a timed insert was found waiting for what.
    kept: BTreeMap<String, u64>,
}

/// Looks until it is told to stop.
pub(super) async fn look_again_and_again(database: Database, stop: CancellationToken) -> Result<Waits> {
    let mut session = database.connect().await?;
    let mut waits = Waits::default();
    while !stop.is_cancelled() {
        let waited = sqlx::query_scalar(WAITING).fetch_one(&mut session).await?;
        waits.longest = waits.longest.max(waited);
        for kept in sqlx::query_scalar(KEPT).bind(SESSION).fetch_all(&mut session).await? {
            *waits.kept.entry(kept).or_default() += 1;
        }
        pause(LOOK).await;
    }
    Ok(waits)
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept: Vec<_> = self.kept.iter().map(|(what, times)| format!("{what}={times}")).collect();
        let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
        write!(
            f,
            "longest_wait_of_a_writer_for_a_lock_on_the_log={:.1}ms; inserts over 20 ms waited for: {kept}",
            self.longest
        )
    }
}
