//! What every part has in common: a connection of its own, its statements, and a bound on each call.

use std::future::Future;
use std::time::Duration;

use outbox_core::{Names, StoreError};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgQueryResult, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr, SqlStr};

use super::fault::{store_error, unavailable};

/// How long it may take to connect, and how long a small statement may take.
pub(super) const CALL: Duration = Duration::from_secs(10);
/// How long a read of the log may take.
pub(super) const READ: Duration = Duration::from_secs(30);
/// How long a statement may take that walks the log.
pub(super) const WALK: Duration = Duration::from_mins(5);

/// PostgreSQL's code of a statement that was ended, by a person or by its limit.
const CANCELED: &str = "57014";

const SESSION: &str = outbox_core::sql::postgres::STORE_SESSION;

/// Renders a statement under `names`. The one place where text becomes a statement: `Names` holds nothing but word
/// characters.
pub(super) fn statement(names: &Names, sql: &'static str) -> SqlStr {
    // cloned, so that each use shares the text: the connection finds its prepared statement by it
    AssertSqlSafe(names.render(sql)).into_sql_str().clone()
}

/// As [`statement`], about one segment.
pub(super) fn segment_statement(names: &Names, sql: &'static str, segment: i16) -> SqlStr {
    assembled(names.render_for_segment(sql, segment))
}

/// As [`statement`], for a text put together from the project's own files.
pub(super) fn assembled(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str().clone()
}

/// A connection of one part, gone for good after the first error.
///
/// A call that was given up may still be answered: what comes next over the same connection would wait for that.
pub(super) struct Link(Option<PgConnection>);

impl Link {
    /// Connects, and makes the session independent of what the role or the database has set. `longest` is the longest
    /// call to come: what runs on for nobody is ended by the server a little later.
    pub(super) async fn open(options: &PgConnectOptions, longest: Duration) -> Result<Self, StoreError> {
        let options = options.clone().application_name("outbox-relay").disable_statement_logging();
        let connection = bounded(CALL, options.connect()).await?;
        let mut link = Self(Some(connection));
        link.limit(longest + Duration::from_secs(5)).await?;
        Ok(link)
    }

    /// Lets the server end each statement to come after so long.
    pub(super) async fn limit(&mut self, longest: Duration) -> Result<(), StoreError> {
        self.one(CALL, sqlx::query(SESSION).bind(longest.as_millis().to_string())).await.map(drop)
    }

    /// Runs a statement that gives one row; `None` where the server ended it at its limit.
    pub(super) async fn one_in_time(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        self.call(limit, async |connection| match query.fetch_one(connection).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(CANCELED) => Ok(None),
            answer => answer.map(Some),
        })
        .await
    }

    /// Runs a statement that gives one row.
    pub(super) async fn one(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgRow, StoreError> {
        self.call(limit, async |connection| query.fetch_one(connection).await).await
    }

    /// Runs a statement that gives one row or none.
    pub(super) async fn optional(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, StoreError> {
        self.call(limit, async |connection| query.fetch_optional(connection).await).await
    }

    /// Runs a statement that gives any number of rows.
    pub(super) async fn all(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.call(limit, async |connection| query.fetch_all(connection).await).await
    }

    /// Runs a statement that gives no row.
    pub(super) async fn run(
        &mut self,
        limit: Duration,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, StoreError> {
        self.call(limit, async |connection| query.execute(connection).await).await
    }

    /// Does something with the connection, for no longer than `limit`.
    pub(super) async fn call<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        // Taken out until it is known to be good: a future dropped halfway leaves nothing behind to go on with.
        let Some(mut connection) = self.0.take() else {
            return Err(unavailable("the connection to the database was given up; open a new one"));
        };
        let answer = bounded(limit, work(&mut connection)).await?;
        self.0 = Some(connection);
        Ok(answer)
    }
}

/// Awaits the database no longer than `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(limit, call).await;
    let late = || unavailable(format!("the database did not answer within {} s", limit.as_secs()));
    answer.map_err(|_| late())?.map_err(store_error)
}
