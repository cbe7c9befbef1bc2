//! A write transaction of somebody who has nothing to do with the outbox, open as long as the load lasts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::{Executor, PgConnection};

use super::Context;

/// How soon the transaction is begun again after the server has cut it.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Begins the transaction; none once the load stops.
pub(super) async fn open(context: &Context) -> Option<PgConnection> {
    loop {
        let mut session = context.session().await?;
        match session.execute("BEGIN; INSERT INTO stranger VALUES (1)").await {
            Ok(_) => return Some(session),
            Err(error) => context.trouble(&error),
        }
    }
}

/// Keeps it open until the load stops.
pub(super) async fn stay(context: Arc<Context>, mut session: PgConnection) -> Result<()> {
    loop {
        context.pause(CHECK_EVERY).await;
        if context.stop.is_cancelled() {
            session.execute("COMMIT").await?;
            return Ok(());
        }
        if session.execute("SELECT 1").await.is_err() {
            let Some(reopened) = open(&context).await else { return Ok(()) };
            session = reopened;
        }
    }
}
