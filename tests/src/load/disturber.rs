//! Ends sessions, settles what they left prepared, and moves the log on to the next segment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use sqlx::{Error, Executor, PgConnection};

use super::Context;
use crate::conformance::waiting::between_looks;
use crate::database::Database;

/// The last of the segments.
const LAST_SEGMENT: i64 = 7;

const TERMINATE: &str = "\
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'pgbench'
    ORDER BY md5(pid::text || $1::text) LIMIT 1";

/// What no client will finish any more: a client needs far less time between the phases.
const ABANDONED: &str = "\
    SELECT gid FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < clock_timestamp() - interval '1 second'";

const LEFT: &str = "\
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pgbench')
         + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())";

/// Disturbs at random times until the load stops.
pub(super) async fn disturb(context: Arc<Context>) -> Result<()> {
    let mut random = context.random(1000);
    let mut segment = 0;
    let mean = u64::try_from(context.options.kill_every.as_millis())?;
    while let Some(mut session) = context.session().await {
        // A session of its own ends with the server, like everybody's.
        while !context.stop.is_cancelled() {
            context.pause(Duration::from_millis(random.u64(0..=mean * 2))).await;
            if let Err(error) = step(&context, &mut session, &mut random, &mut segment).await {
                context.trouble(&error);
                break;
            }
        }
    }
    Ok(())
}

async fn step(
    context: &Context,
    session: &mut PgConnection,
    random: &mut fastrand::Rng,
    segment: &mut i64,
) -> sqlx::Result<()> {
    let victim = sqlx::query_scalar(TERMINATE).bind(random.i64(..)).fetch_optional(&mut *session).await?;
    context.killed.fetch_add(u64::from(victim == Some(true)), Ordering::Relaxed);
    settle(session, random).await?;
    if *segment < LAST_SEGMENT && random.u32(0..25) == 0 {
        *segment += 1;
        sqlx::query("SELECT setval('outbox_segment', $1, true)").bind(*segment).execute(session).await?;
    }
    Ok(())
}

/// Commits or rolls back whatever lost its session.
async fn settle(session: &mut PgConnection, random: &mut fastrand::Rng) -> sqlx::Result<()> {
    let abandoned: Vec<String> = sqlx::query_scalar(ABANDONED).fetch_all(&mut *session).await?;
    for gid in abandoned {
        let end = if random.bool() { "COMMIT" } else { "ROLLBACK" };
        let statement = format!("{end} PREPARED '{}'", gid.replace('\'', "''"));
        match session.execute(sqlx::AssertSqlSafe(statement)).await {
            // Its client came first.
            Err(Error::Database(_)) | Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Settles until nobody waits for it any more.
pub(super) async fn settle_without_end(database: &Database) -> Result<()> {
    let mut session = database.connect().await?;
    let mut random = fastrand::Rng::with_seed(0);
    loop {
        settle(&mut session, &mut random).await?;
        between_looks().await;
    }
}

/// Waits until all of pgbench's sessions have ended, and nothing is prepared any more.
pub(super) async fn settle_everything(session: &mut PgConnection) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(0);
    while sqlx::query_scalar::<_, i64>(LEFT).fetch_one(&mut *session).await? > 0 {
        settle(session, &mut random).await?;
        between_looks().await;
    }
    Ok(())
}
