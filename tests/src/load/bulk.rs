//! Two transactions larger than any batch: one rolls back, then one commits behind events that came later.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::{Acquire, PgConnection};

use super::{Context, TICK, committed};

/// How many later events are committed before a bulk transaction ends.
const LATER: u64 = 500;

const WRITE: &str = "\
    WITH rows AS (INSERT INTO bulk SELECT 'bulk-' || n, 1 FROM generate_series(1, $1) AS n RETURNING k)
    INSERT INTO outbox_event (topic, event_key, payload)
    SELECT 'torture', k, format('{\"k\":\"%s\",\"ver\":1}', k) FROM rows";

const WRITTEN: &str = "SELECT EXISTS (SELECT FROM bulk WHERE k = 'bulk-1')";

/// Writes both; what a fault of the server interrupts is begun again.
pub(super) async fn write(context: Arc<Context>) -> Result<()> {
    let events = i32::try_from(context.options.bulk)?;
    for commit in [false, true] {
        while let Some(mut session) = context.session().await {
            match attempt(&context, &mut session, events, commit).await {
                Ok(()) => break,
                Err(error) => context.trouble(&error),
            }
            context.pause(TICK).await;
        }
    }
    Ok(())
}

async fn attempt(context: &Context, session: &mut PgConnection, events: i32, commit: bool) -> Result<()> {
    // The answer to a commit may have been cut off after it had been made.
    if sqlx::query_scalar(WRITTEN).fetch_one(&mut *session).await? {
        return Ok(());
    }
    let mut transaction = session.begin().await?;
    sqlx::query(WRITE).bind(events).execute(&mut *transaction).await?;
    let mut witness = context.database.connect().await?;
    let target = committed(&mut witness).await? + LATER;
    while committed(&mut witness).await? < target {
        context.pause(Duration::from_millis(100)).await;
    }
    if commit {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(())
}
