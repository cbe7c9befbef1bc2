//! Where the database is, and whether a pooler stands before it that hands out a connection for each transaction.
//!
//! Behind such a pooler nothing of a session lasts: what one statement sets is lost to the next, and found by whoever is
//! handed that connection then. So a relay says there with each transaction how it is to be run, prepares no statement, and
//! is told nothing.
//!
//! One trial is sure: a notification that one connection sends reaches another that is idle only if that other one has a
//! session of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outbox_core::StoreError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, Row};

use super::connection::{CALL, assembled, bounded};

/// How long a notification may take; only where none comes is so long waited.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// PostgreSQL's code for what a pooler does not let pass.
const NOT_SUPPORTED: &str = "0A000";

/// Where the database is. Clones share what was found out about it.
#[derive(Clone)]
pub(super) struct Address {
    options: PgConnectOptions,
    pooled: Arc<OnceLock<bool>>,
}

impl Address {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        // A pooler refuses a parameter at the start that it does not know, and numbers come in binary anyway.
        let options = options.application_name("outbox-relay").extra_float_digits(None).disable_statement_logging();
        Self { options, pooled: Arc::default() }
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Whether each transaction may have another session; `connection` is one to this address, on which nothing was said yet.
    pub(super) async fn is_pooled(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        if let Some(pooled) = self.pooled.get() {
            return Ok(*pooled);
        }
        match bounded(CALL, self.try_out(connection)).await? {
            Some(pooled) => Ok(*self.pooled.get_or_init(|| pooled)),
            // It shows at the next connection; a server that is out of them has no session to lose.
            None => Ok(false),
        }
    }

    /// A connection that hears what is told on the channel.
    pub(super) async fn listener(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CALL).max_lifetime(None).idle_timeout(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with(self.options.clone())).await?;
        // A connection that is lost is a state to begin anew in, not one to mend unseen.
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        listener.listen(channel).await?;
        Ok(listener)
    }

    /// Makes the trial; `None` where it could not be made.
    async fn try_out(&self, connection: &mut PgConnection) -> Result<Option<bool>, sqlx::Error> {
        let channel = format!("outbox {:016x}", fastrand::u64(..));
        let mut listener = match self.listener(&channel).await {
            Ok(listener) => listener,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_SUPPORTED) => {
                return Ok(Some(true));
            }
            Err(error) => {
                tracing::debug!(%error, "whether there is a pooler could not be tried");
                return Ok(None);
            }
        };
        let listening = session(&mut listener).await?;
        let telling = session(&mut *connection).await?;
        // One session for two connections that are both open: that settles it without waiting.
        let mut pooled = listening == telling;
        if !pooled {
            let tell = format!("SELECT pg_notify('{channel}', '')");
            connection.execute(sqlx::raw_sql(assembled(tell))).await?;
            pooled = tokio::time::timeout(ON_ITS_WAY, listener.try_recv()).await.is_err();
        }
        if pooled {
            tracing::debug!("each transaction may have another session: a pooler stands before the database");
        }
        Ok(Some(pooled))
    }
}

/// The process that answers.
async fn session<'c>(connection: impl Executor<'c, Database = sqlx::Postgres>) -> Result<i32, sqlx::Error> {
    connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)
}
